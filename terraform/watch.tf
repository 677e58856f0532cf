# LOOK: the call that acts on what the monitoring found. The trigger starts the monitoring's template in a week without a
# training; what it may do with the findings are two variables.

# Four hours after the call that started the monitoring: by then there are findings, for alarms and for what may follow.
resource "google_cloud_scheduler_job" "look" {
  name             = "${local.prefix}brigade-look"
  region           = var.region
  description      = "Calls the retraining trigger for what the monitoring has found."
  schedule         = "0 6 * * 1"
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s"

  http_target {
    http_method = "POST"
    uri         = "${google_cloudfunctions2_function.trigger.service_config[0].uri}/?look=1"

    oidc_token {
      service_account_email = google_service_account.scheduler.email
      audience              = google_cloudfunctions2_function.trigger.service_config[0].uri
    }
  }

  retry_config {
    retry_count          = 3
    min_backoff_duration = "60s"
    max_backoff_duration = "1800s"
  }

  depends_on = [google_cloud_run_v2_service_iam_member.scheduler_calls_trigger]
}
