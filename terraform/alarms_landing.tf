# When landing needs a person: each alarm goes to the topic ml_alerts (and by e-mail, if there is an address), with what to
# look at first.

locals {
  on_landing = "resource.type = \"dataflow_job\" AND resource.labels.job_name = \"${local.landing_job}\""

  # A counter of the landing job, in PromQL: Dataflow shows its value since the job's start.
  counted = "{\"dataflow.googleapis.com/job/user_counter\", monitored_resource=\"dataflow_job\", job_name=\"${local.landing_job}\", metric_name=\"NAME\"}"
  # By how much it grew in the last PERIOD; a counter that was not there before began at 0, which nothing shows.
  growth = "sum(max_over_time(COUNTER[PERIOD]) - (max_over_time(COUNTER[PERIOD] offset PERIOD) or 0 * max_over_time(COUNTER[PERIOD])))"
}

resource "google_monitoring_alert_policy" "landing_lag" {
  display_name          = "${local.title}: landing is behind, or failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "System lag above ten minutes for ten minutes"

    condition_threshold {
      filter                  = "metric.type = \"dataflow.googleapis.com/job/system_lag\" AND ${local.on_landing}"
      comparison              = "COMPARISON_GT"
      threshold_value         = 600
      duration                = "600s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  conditions {
    display_name = "The job failed"

    condition_threshold {
      filter          = "metric.type = \"dataflow.googleapis.com/job/is_failed\" AND ${local.on_landing}"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    subject   = "${local.title}: the landing job needs a look"
    mime_type = "text/markdown"
    content   = <<-EOT
      What do its workers say?

          gcloud logging read 'resource.type="dataflow_step" AND resource.labels.job_name="${local.landing_job}" AND severity>=WARNING' --freshness=1h --limit=10 --project=${var.project_id}

      - It failed: what it had read and not yet written is gone with it, though acknowledged. `make gcp-landing ${local.settings}` starts it again. Then have Pub/Sub deliver once more what was published since half an hour before the failure: `gcloud pubsub subscriptions seek ${google_pubsub_subscription.landing.name} --time=YYYY-MM-DDTHH:MM:SSZ --project=${var.project_id}`. What had landed already is a duplicate, which conversion leaves out.
      - Writing is tried again and again: is the bucket there, and may `${google_service_account.landing.email}` write to it?
      - It is busy and at its largest number of workers: `make gcp-landing ${local.settings} UPDATE=1 MAX_WORKERS=5`.
    EOT

    links {
      display_name = "Dataflow jobs"
      url          = "${local.console}/dataflow/jobs?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "landing_dead_letters" {
  display_name          = "${local.title}: messages that could not land"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "Dead letters of landing in the last hour"

    condition_prometheus_query_language {
      query                     = "${replace(replace(local.growth, "COUNTER", replace(local.counted, "NAME", "dead_lettered")), "PERIOD", "1h")} > 0"
      evaluation_interval       = "300s"
      disable_metric_validation = true # a counter begins to exist with the first job
    }
  }

  documentation {
    subject   = "${local.title}: dead letters of landing"
    mime_type = "text/markdown"
    content   = <<-EOT
      Each is a line with its reason:

          gcloud storage cat 'gs://${local.input_bucket}/dead_letter/dt=*/*.jsonl' | head | jq -r '[.reason, .detail, .messageId] | @tsv'

      Mostly the publisher sends what is no event. When that is mended, `python publisher.py --replay` publishes them again (README, "Operating it").
    EOT

    links {
      display_name = "Dead letters"
      url          = "${local.console}/storage/browser/${local.input_bucket}/dead_letter?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

# Whatever the cause: the job is off, nothing is published, or all of it is dead letters. Without a job there is no counter, so
# that an empty answer counts as 0; and the subscription has to be a day old, or every new project would begin with this.
resource "google_monitoring_alert_policy" "nothing_landed" {
  display_name          = "${local.title}: no file landed for a day"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "Files of the last day below 1"

    condition_prometheus_query_language {
      query = join(" ", [
        "(${replace(replace(local.growth, "COUNTER", replace(local.counted, "NAME", "files_landed")), "PERIOD", "1d")} or vector(0)) < 1",
        "and on() {\"pubsub.googleapis.com/subscription/num_undelivered_messages\", monitored_resource=\"pubsub_subscription\", subscription_id=\"${google_pubsub_subscription.landing.name}\"} offset 1d >= 0",
      ])
      evaluation_interval       = "300s"
      disable_metric_validation = true # a counter begins to exist with the first job
    }
  }

  documentation {
    subject   = "${local.title}: no file landed for a day"
    mime_type = "text/markdown"
    content   = <<-EOT
      - Is anything published? If not, that is all there is to it: look at the publisher. [The topic](${local.console}/cloudpubsub/topic/detail/${google_pubsub_topic.documents.name}?project=${var.project_id})
      - Does landing run? `gcloud dataflow jobs list --status=active --region=${var.region} --project=${var.project_id}` If there is no `${local.landing_job}`: `make gcp-landing ${local.settings}`
      - Was the topic deleted and created again? `gcloud pubsub subscriptions describe ${google_pubsub_subscription.landing.name} --project=${var.project_id} --format='value(topic)'` shows `_deleted-topic_` then, and nothing arrives. Land what the subscription still holds, then create it again: `terraform apply -replace=google_pubsub_subscription.landing`.
      - It runs, and messages arrive: then all of them are dead letters. `gcloud storage ls 'gs://${local.input_bucket}/dead_letter/**' | tail -3`

      The last files that landed: `gcloud storage ls 'gs://${local.input_bucket}/input/**' | tail -3`

      Landing that runs elsewhere than on Dataflow reports no counters; switch this alarm off then.
    EOT

    links {
      display_name = "The way of the data, as a picture"
      url          = "${local.console}/monitoring/dashboards?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}
