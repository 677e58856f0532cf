# When serving needs a person: each alarm goes to the topic ml_alerts (and by e-mail, if there is an address), with what to
# look at first.

locals {
  on_services = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = one_of(\"${google_cloudfunctions2_function.classify.name}\", \"${google_cloudfunctions2_function.predict.name}\")"
}

# Three windows in a row: the first document of a new instance waits for its model, and is the slowest of a quiet minute.
resource "google_monitoring_alert_policy" "latency" {
  display_name          = "${local.title}: answers are slow"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "p99 of a function's latency above 500 ms for a quarter of an hour"

    condition_threshold {
      filter                  = "metric.type = \"run.googleapis.com/request_latencies\" AND ${local.on_services}"
      comparison              = "COMPARISON_GT"
      threshold_value         = 500
      duration                = "900s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_PERCENTILE_99"
        cross_series_reducer = "REDUCE_MAX"
        group_by_fields      = ["resource.label.service_name"]
      }
    }
  }

  documentation {
    subject   = "${local.title}: a function takes longer than 500 ms"
    mime_type = "text/markdown"
    content   = <<-EOT
      Which step takes the time? Each request's log line has `milliseconds` by step:

          gcloud logging read 'resource.type="cloud_run_revision" AND jsonPayload.milliseconds.total>500' --freshness=1h --limit=5 --project=${var.project_id}

      - `model` is large: a new instance loads its model. Keep one warm: `classify_min_instances`.
      - `publish` is large: Pub/Sub is slow to confirm; see its status page.
      - There are no such lines: requests wait for a thread before the function sees them. Raise `classify_max_instances`.
    EOT

    links {
      display_name = "Cloud Run: ${google_cloudfunctions2_function.classify.name}"
      url          = "${local.console}/run/detail/${var.region}/${google_cloudfunctions2_function.classify.name}/metrics?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

# 503 is for what may pass, and normal until there is a first model: it has an hour. Pub/Sub asks again every ten minutes at
# the latest, so windows of twenty always hold a request.
resource "google_monitoring_alert_policy" "errors" {
  display_name          = "${local.title}: a function fails"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "More than 1 % of answers are 5xx other than 503, for ten minutes"

    condition_threshold {
      filter                  = "metric.type = \"run.googleapis.com/request_count\" AND ${local.on_services} AND metric.labels.response_code_class = \"5xx\" AND metric.labels.response_code != \"503\""
      denominator_filter      = "metric.type = \"run.googleapis.com/request_count\" AND ${local.on_services}"
      comparison              = "COMPARISON_GT"
      threshold_value         = 0.01
      duration                = "600s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
    }
  }

  conditions {
    display_name = "More than half of the answers are 503, for an hour"

    condition_threshold {
      filter                  = "metric.type = \"run.googleapis.com/request_count\" AND ${local.on_services} AND metric.labels.response_code = \"503\""
      denominator_filter      = "metric.type = \"run.googleapis.com/request_count\" AND ${local.on_services}"
      comparison              = "COMPARISON_GT"
      threshold_value         = 0.5
      duration                = "3600s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_INACTIVE"

      aggregations {
        alignment_period     = "1200s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
      denominator_aggregations {
        alignment_period     = "1200s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.service_name"]
      }
    }
  }

  documentation {
    subject   = "${local.title}: a function answers with errors"
    mime_type = "text/markdown"
    content   = <<-EOT
      The function says why:

          gcloud logging read 'resource.type="cloud_run_revision" AND severity>=ERROR AND jsonPayload.logger="cloud_function"' --freshness=1h --limit=5 --project=${var.project_id}

      - `no model to serve` (503): no model was promoted yet, or the last one was withdrawn. Train one: `gcloud scheduler jobs run ${google_cloud_scheduler_job.retrain.name} --location=${var.region} --project=${var.project_id}`
      - `cannot publish to` (503): the topic or the right to publish is missing; `make gcp-plan ${local.settings}` shows what differs.
      - A traceback (500): a bug. The revision before serves again with `gcloud run services update-traffic ${google_cloudfunctions2_function.classify.name} --to-revisions=REVISION=100 --region=${var.region} --project=${var.project_id}`

      No message is lost meanwhile: Pub/Sub keeps it for a week.
    EOT

    links {
      display_name = "Cloud Run: ${google_cloudfunctions2_function.classify.name}"
      url          = "${local.console}/run/detail/${var.region}/${google_cloudfunctions2_function.classify.name}/metrics?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "${local.title}: documents that could not be classified"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "Messages wait in ${google_pubsub_subscription.dead_letter.name}"

    condition_threshold {
      filter          = "metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letter.name}\""
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
    subject   = "${local.title}: dead letters of classification"
    mime_type = "text/markdown"
    content   = <<-EOT
      Why? The reason is an attribute of each message. This looks and takes nothing away:

          gcloud pubsub subscriptions pull ${google_pubsub_subscription.dead_letter.name} --limit=10 --format="table(message.attributes.reason, message.attributes.detail, message.messageId)" --project=${var.project_id}

      - With a reason: the publisher sends what is no event. Its messages are worth nothing until they are right.
      - With the reason too_large: they are refused again, and the largest have no data. `python publisher.py --replay=${google_pubsub_subscription.dead_letter.id} --reason=too_large --acknowledge` ends them.
      - Without one: Pub/Sub gave up after a hundred attempts, because of a bug or of half a day without a model. When that is over, publish them again (README, "Operating it").
    EOT

    links {
      display_name = "Subscription"
      url          = "${local.console}/cloudpubsub/subscription/detail/${google_pubsub_subscription.dead_letter.name}?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

# Half an hour: longer than the first training takes, during which documents already wait.
resource "google_monitoring_alert_policy" "oldest_message" {
  display_name          = "${local.title}: a message has waited for half an hour"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "Oldest unacknowledged message above 1800 s"

    condition_threshold {
      filter          = "metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = one_of(\"${google_pubsub_subscription.landing.name}\", \"${google_pubsub_subscription.classify.name}\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 1800
      duration        = "300s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    subject   = "${local.title}: $${resource.label.subscription_id} is behind"
    mime_type = "text/markdown"
    content   = <<-EOT
      - `${google_pubsub_subscription.landing.name}`: does landing run? `gcloud dataflow jobs list --status=active --region=${var.region} --project=${var.project_id}` If there is no `${local.landing_job}`: `make gcp-landing ${local.settings}`
      - `${google_pubsub_subscription.classify.name}`: what does the function answer? `gcloud logging read 'resource.type="cloud_run_revision" AND severity>=WARNING AND jsonPayload.logger="cloud_function"' --freshness=1h --limit=5 --project=${var.project_id}` Without a model it answers 503, and documents wait.

      Messages are kept for a week from their publication.
    EOT

    links {
      display_name = "The way of the data, as a picture"
      url          = "${local.console}/monitoring/dashboards?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

# An age that the function itself logs: no alarm can look back five weeks for something that did not happen.
resource "google_monitoring_alert_policy" "old_model" {
  display_name          = "${local.title}: no new model for five weeks"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "A model of 35 days or more answers"

    condition_matched_log {
      filter = join(" AND ", [
        "resource.type=\"cloud_run_revision\"",
        "resource.labels.service_name=(\"${google_cloudfunctions2_function.classify.name}\" OR \"${google_cloudfunctions2_function.predict.name}\")",
        "jsonPayload.modelAgeDays>=35",
      ])

      label_extractors = {
        model = "EXTRACT(jsonPayload.model)"
        days  = "EXTRACT(jsonPayload.modelAgeDays)"
      }
    }
  }

  alert_strategy {
    auto_close = "172800s"

    notification_rate_limit {
      period = "86400s"
    }
  }

  documentation {
    subject   = "${local.title}: the model is $${log.extracted_label.days} days old"
    mime_type = "text/markdown"
    content   = <<-EOT
      $${log.extracted_label.model} still serves, a week after the next one was due. Which models are there, and why does none of the newer ones serve?

          python -m brigade.models list ${local.models_uri}

      - None is newer: what became of the weekly calls? `gcloud logging read 'resource.type="cloud_run_revision" AND jsonPayload.logger="scheduler"' --freshness=36d --format="value(timestamp, jsonPayload.message)" --project=${var.project_id}` Each says what was decided, and why; logs older than 30 days are in `gs://${local.logs_bucket}`.
      - One is newer and was not promoted: the reason stands beside it. If it is good all the same: `python -m brigade.models promote ${local.models_uri} MODEL`
      - `MODEL_PIN` is set: the functions serve that one until it is taken away.
    EOT

    links {
      display_name = "Workflows"
      url          = "${local.console}/dataproc/workflows/instances?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}
