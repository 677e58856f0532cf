# When training needs a person: each alarm goes to the topic ml_alerts (and by e-mail, if there is an address), with what to
# look at first.

locals {
  on_clusters = "resource.type = \"cloud_dataproc_cluster\" AND resource.labels.cluster_name = starts_with(\"${local.cluster_name}\")"
}

resource "google_monitoring_alert_policy" "workflow_failed" {
  display_name          = "${local.title}: conversion, training or monitoring failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "A job of the cluster failed"

    condition_threshold {
      filter          = "metric.type = \"dataproc.googleapis.com/cluster/job/failed_count\" AND ${local.on_clusters}"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "The cluster could not be made or deleted"

    condition_threshold {
      filter          = "metric.type = \"dataproc.googleapis.com/cluster/operation/failed_count\" AND ${local.on_clusters}"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    subject   = "${local.title}: the retraining or the monitoring workflow failed"
    mime_type = "text/markdown"
    content   = <<-EOT
      What failed, and with which words?

          gcloud dataproc jobs list --state-filter=inactive --limit=4 --region=${var.region} --project=${var.project_id}
          gcloud dataproc jobs wait JOB_ID --region=${var.region} --project=${var.project_id}

      - A job: the second command shows its output. The model before keeps serving.
      - The cluster: mostly a quota, or a zone without machines. `gcloud dataproc operations list --region=${var.region} --project=${var.project_id}`

      Next Monday's call tries again by itself. To try now: `gcloud scheduler jobs run ${google_cloud_scheduler_job.retrain.name} --location=${var.region} --project=${var.project_id}`
    EOT

    links {
      display_name = "Workflows"
      url          = "${local.console}/dataproc/workflows/instances?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}

# Cloud Scheduler logs each attempt that failed, and the trigger why; a call that does not come at all shows as an old model.
resource "google_monitoring_alert_policy" "trigger_failed" {
  display_name          = "${local.title}: the weekly call of the trigger failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.alert_channels
  user_labels           = local.labels

  conditions {
    display_name = "Cloud Scheduler or the trigger logs an error"

    condition_matched_log {
      filter = join(" OR ", [
        "(resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=(\"${google_cloud_scheduler_job.retrain.name}\" OR \"${google_cloud_scheduler_job.look.name}\") AND severity>=ERROR)",
        "(resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${google_cloudfunctions2_function.trigger.name}\" AND jsonPayload.logger=\"scheduler\" AND severity>=ERROR)",
      ])

      label_extractors = {
        type = "EXTRACT(resource.type)"
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
    subject   = "${local.title}: the retraining trigger failed"
    mime_type = "text/markdown"
    content   = <<-EOT
      What did the trigger say, and did a later attempt succeed? There are three, a minute and more apart.

          gcloud logging read 'resource.type="cloud_run_revision" AND jsonPayload.logger="scheduler"' --freshness=1d --format="value(timestamp, severity, jsonPayload.message)" --project=${var.project_id}

      - Nothing at all: the call did not reach it. `gcloud scheduler jobs describe ${google_cloud_scheduler_job.retrain.name} --location=${var.region} --project=${var.project_id}` shows the last attempt's status; 403 is a missing right of `${google_service_account.scheduler.email}`.
      - `SCHEDULE_ANCHOR`, `MODELS_URI`, `WORKFLOW_TEMPLATE`, `MONITOR_TEMPLATE`: a setting is wrong; `make gcp-plan ${local.settings}` shows what differs.
      - `PermissionDenied`, `Forbidden`: a right of `${google_service_account.trigger.email}` is missing.
    EOT

    links {
      display_name = "Cloud Scheduler"
      url          = "${local.console}/cloudscheduler?project=${var.project_id}"
    }
  }

  depends_on = [google_project_service.needed]
}
