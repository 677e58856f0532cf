# The topics between the stages, and who hears them. A subscription of which nobody hears is kept: none expires.

resource "google_pubsub_topic" "documents" {
  #checkov:skip=CKV_GCP_83:Google's own encryption at rest; keys of your own are not set up here (SECURITY.md)
  name                       = "${local.prefix}topic-brigade"
  message_retention_duration = "604800s" # a new subscription can be wound back to what was published before it

  depends_on = [google_project_service.needed]
}

resource "google_pubsub_topic" "classified" {
  #checkov:skip=CKV_GCP_83:Google's own encryption at rest; keys of your own are not set up here (SECURITY.md)
  name       = "${local.prefix}topic-brigade-classified"
  depends_on = [google_project_service.needed]
}

resource "google_pubsub_topic" "dead_letter" {
  #checkov:skip=CKV_GCP_83:Google's own encryption at rest; keys of your own are not set up here (SECURITY.md)
  name       = "${local.prefix}topic-brigade-dead-letter"
  depends_on = [google_project_service.needed]
}

resource "google_pubsub_topic" "alerts" {
  #checkov:skip=CKV_GCP_83:Google's own encryption at rest; keys of your own are not set up here (SECURITY.md)
  name       = "${local.prefix}ml_alerts"
  depends_on = [google_project_service.needed]
}

# Landing. No dead-letter policy: landing writes its own dead letters, with the reason. Dataflow acknowledges what its own
# state holds, before it is written; so acknowledged messages are kept, to be delivered again if the job is lost.
resource "google_pubsub_subscription" "landing" {
  name                       = "${local.prefix}sub-brigade"
  topic                      = google_pubsub_topic.documents.name
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  retain_acked_messages      = true # so that it can be wound back

  expiration_policy {
    ttl = ""
  }
}

# Classification. The function itself sends what can never be classified to the dead-letter topic and answers 503 for what
# may come again, so that only a bug or half a day without a model uses up a hundred deliveries.
resource "google_pubsub_subscription" "classify" {
  name                       = "${local.prefix}sub-brigade-classify"
  topic                      = google_pubsub_topic.documents.name
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = google_cloudfunctions2_function.classify.service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloudfunctions2_function.classify.service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letter.id
    max_delivery_attempts = 100
  }

  expiration_policy {
    ttl = ""
  }
}

# Classified documents, for whoever needs them: the demo, or a program of yours.
resource "google_pubsub_subscription" "classified" {
  name                       = "${local.prefix}sub-brigade-classified"
  topic                      = google_pubsub_topic.classified.name
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

# Dead letters of classification wait here until somebody publishes them again (README, "Operating it").
resource "google_pubsub_subscription" "dead_letter" {
  name                       = "${local.prefix}sub-brigade-dead-letter"
  topic                      = google_pubsub_topic.dead_letter.name
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s" # 31 days, the most there is

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "alerts" {
  name                       = "${local.prefix}sub-ml-alerts"
  topic                      = google_pubsub_topic.alerts.name
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}
