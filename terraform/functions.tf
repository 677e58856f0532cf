# The three functions: classify (Pub/Sub pushes to it), predict (HTTP), and the trigger (Cloud Scheduler calls it). Each is a
# folder that `make package` has built, zipped; none can be called without an identity.

locals {
  python_runtime = "python312"

  serving_environment = {
    GOOGLE_CLOUD_PROJECT  = var.project_id
    MODELS_URI            = local.models_uri
    MODEL_PREFIX          = local.model_prefix
    MODEL_REFRESH_SECONDS = tostring(var.model_refresh_seconds)
    MODEL_PIN             = var.model_pin
  }

  # A request mostly waits for Pub/Sub's confirmation. functions-framework starts THREADS threads (four a core by itself),
  # and Cloud Run must not send an instance more at a time than these.
  threads = 40
}

data "archive_file" "serving" {
  type        = "zip"
  source_dir  = "${path.module}/../build/cloud_function"
  output_path = "${path.module}/.build/cloud_function.zip"

  lifecycle {
    precondition {
      condition     = fileexists("${path.module}/../build/cloud_function/main.py")
      error_message = "Expected ../build/cloud_function, found no such folder. Run `make package` first; `make gcp-up` does."
    }
  }
}

data "archive_file" "trigger" {
  type        = "zip"
  source_dir  = "${path.module}/../build/scheduler"
  output_path = "${path.module}/.build/scheduler.zip"

  lifecycle {
    precondition {
      condition     = fileexists("${path.module}/../build/scheduler/main.py")
      error_message = "Expected ../build/scheduler, found no such folder. Run `make package` first; `make gcp-up` does."
    }
  }
}

# The content's hash in the name: a change of the source, and nothing else, makes a new function.
resource "google_storage_bucket_object" "serving" {
  bucket = google_storage_bucket.code.name
  name   = "functions/cloud_function-${data.archive_file.serving.output_md5}.zip"
  source = data.archive_file.serving.output_path
}

resource "google_storage_bucket_object" "trigger" {
  bucket = google_storage_bucket.code.name
  name   = "functions/scheduler-${data.archive_file.trigger.output_md5}.zip"
  source = data.archive_file.trigger.output_path
}

# Where Cloud Build puts the functions' images, and cloudbuild.yaml its own.
resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:Google's own encryption at rest; keys of your own are not set up here (SECURITY.md)
  repository_id = "${local.prefix}brigade"
  location      = var.region
  format        = "DOCKER"

  # The functions go on using an image that is deleted here; three are for going back.
  cleanup_policies {
    id     = "keep-three"
    action = "KEEP"

    most_recent_versions {
      keep_count = 3
    }
  }
  cleanup_policies {
    id     = "delete-older"
    action = "DELETE"

    condition {
      older_than = "2592000s"
    }
  }

  depends_on = [google_project_service.needed]
}

resource "google_cloudfunctions2_function" "classify" {
  name        = "${local.prefix}classify"
  location    = var.region
  description = "Classifies each message of ${google_pubsub_topic.documents.name} with the latest promoted model."

  build_config {
    runtime           = local.python_runtime
    entry_point       = "classify"
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.code.name
        object = google_storage_bucket_object.serving.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.classify.email
    ingress_settings                 = "ALLOW_INTERNAL_ONLY" # Pub/Sub of this project is internal
    available_memory                 = var.serving_memory
    available_cpu                    = "1"
    min_instance_count               = var.classify_min_instances
    max_instance_count               = var.classify_max_instances
    max_instance_request_concurrency = local.threads
    timeout_seconds                  = 60 # no longer than the subscription waits

    environment_variables = merge(local.serving_environment, {
      RESULT_TOPIC      = google_pubsub_topic.classified.name
      DEAD_LETTER_TOPIC = google_pubsub_topic.dead_letter.name
      THREADS           = tostring(local.threads)
    })
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_images,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_source,
  ]
}

resource "google_cloudfunctions2_function" "predict" {
  name        = "${local.prefix}predict"
  location    = var.region
  description = "Answers requests for a classification with the latest promoted model."

  build_config {
    runtime           = local.python_runtime
    entry_point       = "predict"
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.code.name
        object = google_storage_bucket_object.serving.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.predict.email
    ingress_settings                 = var.predict_ingress
    available_memory                 = var.serving_memory
    available_cpu                    = "1"
    min_instance_count               = 0
    max_instance_count               = 10
    max_instance_request_concurrency = local.threads
    timeout_seconds                  = 60

    environment_variables = merge(local.serving_environment, {
      THREADS = tostring(local.threads)
    })
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_images,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_source,
  ]
}

resource "google_cloudfunctions2_function" "trigger" {
  name        = "${local.prefix}retrain-trigger"
  location    = var.region
  description = "Starts the training if the four-week period has no model yet and none is under way, else the monitoring."

  build_config {
    runtime           = local.python_runtime
    entry_point       = "trigger"
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.code.name
        object = google_storage_bucket_object.trigger.name
      }
    }
  }

  service_config {
    service_account_email = google_service_account.trigger.email
    ingress_settings      = "ALLOW_INTERNAL_ONLY" # Cloud Scheduler of this project is internal
    available_memory      = "512Mi"
    min_instance_count    = 0
    max_instance_count    = 1
    timeout_seconds       = 180 # some calls of seconds, half a minute each at most, and a cold start

    environment_variables = {
      GOOGLE_CLOUD_PROJECT = var.project_id
      WORKFLOW_TEMPLATE    = local.template
      MODELS_URI           = local.models_uri
      MODEL_PREFIX         = local.model_prefix
      SCHEDULE_ANCHOR      = var.schedule_anchor
      MONITOR_TEMPLATE     = local.monitor_template
      FINDINGS_URI         = local.findings_uri
      EARLY_TRAINING       = var.early_training
      WITHDRAWAL           = var.withdrawal
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_images,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_source,
  ]
}
