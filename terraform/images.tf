# What cloudbuild.yaml needs beyond building functions: only for those who release the images of the Dockerfile with it. The
# repository that they go to is that of functions.tf.
variable "images" {
  type        = bool
  default     = false
  description = "Whether brigade-build may release images with cloudbuild.yaml, and landing's workers may run them."
}

resource "google_storage_bucket_iam_member" "build_upload" {
  count  = var.images ? 1 : 0
  bucket = google_storage_bucket.temp.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member

  # Where `gcloud builds submit` puts the commit.
  condition {
    title      = "the source of a build"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.temp_bucket}/objects/build/\")"
  }
}

resource "google_storage_bucket_iam_member" "build_template" {
  count  = var.images ? 1 : 0
  bucket = google_storage_bucket.code.name
  role   = "roles/storage.objectUser"
  member = google_service_account.build.member

  condition {
    title      = "the Flex Template"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.code_bucket}/objects/templates/\")"
  }
}

resource "google_project_iam_member" "build_deploy" {
  count   = var.images ? 1 : 0
  project = var.project_id
  role    = "roles/run.developer" # revisions, and their traffic; not who may call them
  member  = google_service_account.build.member
}

# A revision runs as the function's own identity.
resource "google_service_account_iam_member" "build_as_classify" {
  count              = var.images ? 1 : 0
  service_account_id = google_service_account.classify.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}

resource "google_service_account_iam_member" "build_as_predict" {
  count              = var.images ? 1 : 0
  service_account_id = google_service_account.predict.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "landing_image" {
  count      = var.images ? 1 : 0
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.landing.member
}
