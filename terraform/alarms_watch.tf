# When the data or the model needs a person: each alarm goes to the topic ml_alerts (and by e-mail, if there is an address),
# with what to look at first. The trigger logs a line for each finding about the model that serves.

locals {
  findings_of = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${google_cloudfunctions2_function.trigger.name}\" AND jsonPayload.logger=\"monitoring\""

  look_at = <<-EOT
    The newest report has pictures of what changed, since when, and examples of event ids:

        gcloud storage ls gs://${local.output_bucket}/monitor/
        gcloud logging read 'resource.type="cloud_run_revision" AND jsonPayload.logger="monitoring"' --freshness=1d --format="value(severity, jsonPayload.message)" --project=${var.project_id}
  EOT
}

resource "google_monitoring_alert_policy" "decayed" {
  display_name          = "${local.title}: the model is less right than its test said"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "A finding of decay"

    condition_matched_log {
      filter = "${local.findings_of} AND jsonPayload.kind=\"decay\" AND severity>=WARNING"

      label_extractors = {
        field = "EXTRACT(jsonPayload.field)"
      }
    }
  }

  alert_strategy {
    auto_close = "604800s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${local.title}: the model that serves has decayed"
    mime_type = "text/markdown"
    content   = <<-EOT
      On events that got their labels later, the model is wrong more often than on its test.

      ${local.look_at}
      - Its figures fell all at once: what changed on that day, in the labels or in the events?
      - The model before is better on the same events: withdraw this one, see `docs/operations.md`, or set `withdrawal = "on"`.
      - Neither is: train again. `gcloud scheduler jobs run ${google_cloud_scheduler_job.retrain.name} --location=${var.region} --project=${var.project_id}` does if the period has no model yet; `early_training = "on"` does ahead of time.
    EOT

    links {
      display_name = "Reports"
      url          = "${local.console}/storage/browser/${local.output_bucket}/monitor?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_monitoring_alert_policy" "drifted" {
  display_name          = "${local.title}: the data is no longer what the model learned"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "A strong finding of drift or volume"

    condition_matched_log {
      filter = "${local.findings_of} AND jsonPayload.kind=(\"drift\" OR \"volume\") AND severity>=WARNING"

      label_extractors = {
        field  = "EXTRACT(jsonPayload.field)"
        aspect = "EXTRACT(jsonPayload.aspect)"
      }
    }
  }

  alert_strategy {
    auto_close = "604800s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${local.title}: the data has drifted"
    mime_type = "text/markdown"
    content   = <<-EOT
      ${local.look_at}
      - The report says what it does to the predictions. Drift that moves none seldom means harm.
      - Something broke upstream, such as empty or cut texts: mend it there. The check before the next training stops what would be learned from it.
      - The world has changed, and there are labels: train again.
    EOT

    links {
      display_name = "Reports"
      url          = "${local.console}/storage/browser/${local.output_bucket}/monitor?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

# A machine has decided what a person would have: somebody should know.
resource "google_monitoring_alert_policy" "acted" {
  display_name          = "${local.title}: the loop has acted"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "A model was withdrawn, or a training was started ahead of time"

    condition_matched_log {
      filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${google_cloudfunctions2_function.trigger.name}\" AND jsonPayload.logger=\"scheduler\" AND jsonPayload.acted=(\"withdrawn\" OR \"trained early\") AND severity>=INFO"

      label_extractors = {
        acted = "EXTRACT(jsonPayload.acted)"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    subject   = "${local.title}: the loop has withdrawn a model or begun a training"
    mime_type = "text/markdown"
    content   = <<-EOT
      Its figures, and what serves now:

          python -m brigade.models history ${local.models_uri} --model_prefix=${local.model_prefix}
          python -m brigade.models list ${local.models_uri} --model_prefix=${local.model_prefix}

      - A withdrawal is taken back with `python -m brigade.models promote`; the loop does not withdraw that run again.
      - A training ahead of time has the same gate before it as any other.
      - Nothing shall be done by itself: `early_training = "dry"`, `withdrawal = "dry"`, and `make gcp-up ${local.settings}`.
    EOT

    links {
      display_name = "Models"
      url          = "${local.console}/storage/browser/${local.output_bucket}/output?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}
