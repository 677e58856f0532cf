# Where alarms go, what is counted from the logs, and the picture. The alarms are in alarms_….tf, one
# file for each room that can fail.

resource "google_monitoring_notification_channel" "alerts" {
  display_name = "${local.title}: Pub/Sub topic ${google_pubsub_topic.alerts.name}"
  type         = "pubsub"
  user_labels  = local.labels

  labels = {
    topic = google_pubsub_topic.alerts.id
  }
}

resource "google_monitoring_notification_channel" "email" {
  count = var.alert_email == null ? 0 : 1

  display_name = "${local.title}: e-mail"
  type         = "email"
  user_labels  = local.labels

  labels = {
    email_address = var.alert_email
  }

  # Google keeps a channel that an alarm names. With this, an address that is taken away goes after the alarms have changed.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.needed]
}

locals {
  console = "https://console.cloud.google.com"

  alert_channels = concat(
    [google_monitoring_notification_channel.alerts.id],
    [for channel in google_monitoring_notification_channel.email : channel.id],
  )
}

# What only the functions' log lines say. Alarms do not wait for these: a metric of this kind begins to exist with its first
# line, and an alarm on one that does not exist yet cannot be made.

resource "google_logging_metric" "model_age_days" {
  name            = "${local.underscore}brigade_model_age_days"
  description     = "Age of the model that answered, in whole days since its training; one value a request."
  value_extractor = "EXTRACT(jsonPayload.modelAgeDays)"

  filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=(\"${google_cloudfunctions2_function.classify.name}\" OR \"${google_cloudfunctions2_function.predict.name}\")",
    "jsonPayload.modelAgeDays>=0",
  ])

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "d"
  }

  bucket_options {
    linear_buckets {
      offset             = 0
      width              = 1
      num_finite_buckets = 60
    }
  }
}

resource "google_logging_metric" "documents" {
  name        = "${local.underscore}brigade_documents"
  description = "Classified messages, by label, and by whether the label that some carry is the same."

  filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${google_cloudfunctions2_function.classify.name}\"",
    "jsonPayload.message=\"classified\"",
  ])

  label_extractors = {
    label  = "EXTRACT(jsonPayload.label)"
    agrees = "EXTRACT(jsonPayload.agrees)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key         = "label"
      description = "What the document was classified as."
    }
    labels {
      key         = "agrees"
      description = "true or false; empty for a document without a label."
    }
  }
}

resource "google_logging_metric" "dead_letters" {
  name        = "${local.underscore}brigade_dead_letters"
  description = "Messages that the function could not classify, by reason."

  filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${google_cloudfunctions2_function.classify.name}\"",
    "jsonPayload.message=\"dead letter\"",
  ])

  label_extractors = {
    reason = "EXTRACT(jsonPayload.reason)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key         = "reason"
      description = "One of the fixed codes, such as malformed_json."
    }
  }
}

resource "google_logging_metric" "findings" {
  name        = "${local.underscore}brigade_findings"
  description = "What the monitoring found about the model that serves, by kind, field and how grave it is."

  filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${google_cloudfunctions2_function.trigger.name}\"",
    "jsonPayload.logger=\"monitoring\"",
  ])

  label_extractors = {
    kind     = "EXTRACT(jsonPayload.kind)"
    field    = "EXTRACT(jsonPayload.field)"
    severity = "EXTRACT(jsonPayload.findingSeverity)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key         = "kind"
      description = "drift, volume or decay."
    }
    labels {
      key         = "field"
      description = "The event's field, or what of the model."
    }
    labels {
      key         = "severity"
      description = "error or warning."
    }
  }
}

# The file leaves out what is 0: Google answers without it, and each plan would put it back. Its names are those without a
# prefix, which is put before each.
locals {
  dashboard = replace(replace(replace(replace(replace(
    file("${path.module}/dashboard.json"),
    "PROJECT_ID-ml-", "PROJECT_ID-${local.prefix}ml-"),
    "/\\b((?:sub|topic)-brigade|brigade-(?:landing|cluster))\\b/", "${local.prefix}$1"),
    "/\\\\\"(classify|predict)\\\\\"/", "\\\"${local.prefix}$1\\\""),
    "user/brigade_", "user/${local.underscore}brigade_"),
    "\"Brigade: ", "\"${local.title}: "
  )
}

resource "google_monitoring_dashboard" "brigade" {
  dashboard_json = replace(local.dashboard, "PROJECT_ID", var.project_id)
  depends_on     = [google_project_service.needed]
}
