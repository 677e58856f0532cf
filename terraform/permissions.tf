# Who may do what: every grant of the pipeline, one role each, on the smallest thing that can carry it. SECURITY.md shows the
# same as a table, which a test compares with this file.

locals {
  # For roles that can be granted on a project only. Names of buckets may begin alike, so that the name is compared whole.
  no_other_bucket = join(" && ", [
    "!(resource.service == \"storage.googleapis.com\"",
    "resource.name != \"projects/_/buckets/${local.temp_bucket}\"",
    "!resource.name.startsWith(\"projects/_/buckets/${local.temp_bucket}/objects/\"))",
  ])
  function_sources = "projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-${var.region}"
}

# --- landing: Pub/Sub → Cloud Storage, on Dataflow's workers

resource "google_project_iam_member" "landing_worker" {
  project = var.project_id
  role    = "roles/dataflow.worker" # can be granted on a project only
  member  = google_service_account.landing.member

  # The role reads and creates objects anywhere in the project. What it needs of that is the job's own files.
  condition {
    title      = "no other bucket"
    expression = local.no_other_bucket
  }
}

resource "google_pubsub_subscription_iam_member" "landing_subscriber" {
  subscription = google_pubsub_subscription.landing.name
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.landing.member
}

resource "google_pubsub_subscription_iam_member" "landing_viewer" {
  subscription = google_pubsub_subscription.landing.name
  role         = "roles/pubsub.viewer" # Dataflow reads the subscription's settings
  member       = google_service_account.landing.member
}

resource "google_storage_bucket_iam_member" "landing_input" {
  bucket = google_storage_bucket.input.name
  role   = "roles/storage.objectUser" # also deletes: a staged file gives way to the one with its name
  member = google_service_account.landing.member
}

resource "google_storage_bucket_iam_member" "landing_temp" {
  bucket = google_storage_bucket.temp.name
  role   = "roles/storage.objectUser"
  member = google_service_account.landing.member
}

# --- conversion and training: the Dataproc cluster's machines

resource "google_project_iam_member" "spark_worker" {
  project = var.project_id
  role    = "roles/dataproc.worker" # can be granted on a project only
  member  = google_service_account.spark.member

  # The role writes and deletes objects anywhere in the project. What it needs of that is the cluster's own files.
  condition {
    title      = "no other bucket"
    expression = local.no_other_bucket
  }
}

resource "google_storage_bucket_iam_member" "spark_input" {
  bucket = google_storage_bucket.input.name
  role   = "roles/storage.objectUser"
  member = google_service_account.spark.member
}

resource "google_storage_bucket_iam_member" "spark_output" {
  bucket = google_storage_bucket.output.name
  role   = "roles/storage.objectUser"
  member = google_service_account.spark.member
}

resource "google_storage_bucket_iam_member" "spark_code" {
  bucket = google_storage_bucket.code.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.spark.member
}

# --- the trigger, and who calls it

resource "google_project_iam_custom_role" "retrain" {
  role_id     = "${local.underscore}brigadeRetrain"
  title       = "${local.title}: start the training"
  description = "Read the workflow templates, see whether one of their workflows runs, start one; no more."
  permissions = [
    "dataproc.operations.list",
    "dataproc.workflowTemplates.get",
    "dataproc.workflowTemplates.instantiate",
  ]
  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "trigger_retrain" {
  project = var.project_id
  role    = google_project_iam_custom_role.retrain.name
  member  = google_service_account.trigger.member
}

resource "google_service_account_iam_member" "trigger_acts_as_spark" {
  service_account_id = google_service_account.spark.name
  role               = "roles/iam.serviceAccountUser" # the workflow's machines run as this account
  member             = google_service_account.trigger.member
}

resource "google_storage_bucket_iam_member" "trigger_models" {
  bucket = google_storage_bucket.output.name
  role   = "roles/storage.objectViewer" # has the period a model, and what has the monitoring found?
  member = google_service_account.trigger.member
}

# What the trigger may write, it may only where it shall act by itself, and only where that is written.
resource "google_storage_bucket_iam_member" "trigger_notes" {
  count = var.early_training == "on" ? 1 : 0

  bucket = google_storage_bucket.output.name
  role   = "roles/storage.objectCreator" # a training ahead of time is an entry of the history; none is ever changed
  member = google_service_account.trigger.member

  condition {
    title      = "the history"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.output_bucket}/objects/output/history/\")"
  }
}

resource "google_storage_bucket_iam_member" "trigger_withdraws" {
  count = var.withdrawal == "on" ? 1 : 0

  bucket = google_storage_bucket.output.name
  role   = "roles/storage.objectUser" # replaces a manifest and changed.json
  member = google_service_account.trigger.member

  condition {
    title = "manifests, marker and history"
    expression = join(" || ", [
      "resource.name == \"projects/_/buckets/${local.output_bucket}/objects/output/changed.json\"",
      "resource.name.startsWith(\"projects/_/buckets/${local.output_bucket}/objects/output/history/\")",
      "resource.name.startsWith(\"projects/_/buckets/${local.output_bucket}/objects/output/\") && resource.name.endsWith(\"/manifest.json\")",
    ])
  }
}

resource "google_cloud_run_v2_service_iam_member" "scheduler_calls_trigger" {
  location = var.region
  name     = google_cloudfunctions2_function.trigger.name
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

# --- serving, and who calls it

resource "google_storage_bucket_iam_member" "classify_models" {
  bucket = google_storage_bucket.output.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.classify.member
}

resource "google_pubsub_topic_iam_member" "classify_results" {
  topic  = google_pubsub_topic.classified.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.classify.member
}

resource "google_pubsub_topic_iam_member" "classify_dead_letters" {
  topic  = google_pubsub_topic.dead_letter.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.classify.member
}

resource "google_cloud_run_v2_service_iam_member" "push_calls_classify" {
  location = var.region
  name     = google_cloudfunctions2_function.classify.name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_storage_bucket_iam_member" "predict_models" {
  bucket = google_storage_bucket.output.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.predict.member
}

resource "google_cloud_run_v2_service_iam_member" "invokers_call_predict" {
  for_each = var.predict_invokers

  location = var.region
  name     = google_cloudfunctions2_function.predict.name
  role     = "roles/run.invoker"
  member   = each.key
}

# --- Google's own agents

resource "google_pubsub_topic_iam_member" "pubsub_forwards_dead_letters" {
  topic  = google_pubsub_topic.dead_letter.name
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "pubsub_acknowledges_dead_letters" {
  subscription = google_pubsub_subscription.classify.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_pubsub_topic_iam_member" "monitoring_notifies" {
  topic  = google_pubsub_topic.alerts.name
  role   = "roles/pubsub.publisher"
  member = local.notification_agent
  # Google makes this agent together with the project's first channel of this kind.
  depends_on = [google_monitoring_notification_channel.alerts]
}

resource "google_storage_bucket_iam_member" "logs_writer" {
  bucket = google_storage_bucket.logs.name
  role   = "roles/storage.objectCreator"
  member = google_logging_project_sink.logs.writer_identity # Google's agent for all sinks of the project
}

# --- making the functions' images

resource "google_project_iam_member" "build_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build_images" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_project_iam_member" "build_source" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  # Cloud Run functions copy a function's source into a bucket of their own, which does not exist before the first one.
  condition {
    title      = "sources of functions"
    expression = "resource.name == \"${local.function_sources}\" || resource.name.startsWith(\"${local.function_sources}/objects/\")"
  }
}

# --- people and programs of yours

resource "google_pubsub_topic_iam_member" "publishers" {
  for_each = var.publishers

  topic  = google_pubsub_topic.documents.name
  role   = "roles/pubsub.publisher"
  member = each.key
}

resource "google_storage_bucket_iam_member" "operators" {
  for_each = var.operators

  bucket = google_storage_bucket.output.name
  role   = "roles/storage.objectUser"
  member = each.key
}
