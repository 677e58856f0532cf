"""The command line: wrong arguments are told, and the tutorial's own are understood."""

import pytest
from apache_beam.options.pipeline_options import StandardOptions

import pubsub_gcs
from brigade.landing.arguments import parse_arguments

GOOD = ["--project=brigade-test", "--output_path=/tmp/x/input", "--runner=DirectRunner"]
SUBSCRIPTION = "--input_subscription=projects/brigade-test/subscriptions/sub-brigade"


@pytest.mark.parametrize(
    "flags, words",
    [
        (GOOD, "found neither"),
        ([*GOOD, SUBSCRIPTION, "--input_topic=projects/brigade-test/topics/topic-brigade"], "found both"),
        ([*GOOD, SUBSCRIPTION, "--window_size=0"], "--window_size: expected a number above 0, found 0"),
        ([*GOOD, SUBSCRIPTION, "--window_size=soon"], "--window_size"),
        ([*GOOD, SUBSCRIPTION, "--num_shards=-1"], "--num_shards"),
        ([*GOOD, SUBSCRIPTION, "--windowsize=2"], "--windowsize=2"),
        ([*GOOD, "--input_subscription=sub-brigade"], "expected projects/PROJECT/subscriptions/NAME"),
        ([*GOOD, SUBSCRIPTION, "--output_path=s3://bucket/x"], "--output_path"),
        ([*GOOD, SUBSCRIPTION, "--dead_letter_path=/tmp/x/input/dead"], "must lie outside"),
        ([SUBSCRIPTION], "--output_path"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_line_that_says_why(flags, words, capsys):
    with pytest.raises(SystemExit) as ended:
        pubsub_gcs.main(flags)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_the_tutorial_s_command_line_is_understood():
    arguments, options = parse_arguments(
        [
            "--project=brigade-p",
            "--region=us-central1",
            "--input_topic=projects/brigade-p/topics/topic-brigade",
            "--output_path=gs://ml_input/input",
            "--runner=DataflowRunner",
            "--window_size=2",
            "--num_shards=1",
            "--temp_location=gs://ml_input/temp",
        ]
    )
    assert arguments.dead_letter_path == "gs://ml_input/dead_letter"
    assert options.view_as(StandardOptions).streaming
