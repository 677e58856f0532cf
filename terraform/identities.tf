# One identity for each component, and no key for any of them: each is attached to what runs as it. What they may do stands
# in permissions.tf alone.
resource "google_service_account" "landing" {
  account_id   = "${local.prefix}brigade-landing"
  display_name = "${local.title}: workers of the Dataflow job"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "spark" {
  account_id   = "${local.prefix}brigade-spark"
  display_name = "${local.title}: machines of the Dataproc cluster"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "trigger" {
  account_id   = "${local.prefix}brigade-trigger"
  display_name = "${local.title}: the function that starts the workflow"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "scheduler" {
  account_id   = "${local.prefix}brigade-scheduler"
  display_name = "${local.title}: Cloud Scheduler, calling the trigger"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "classify" {
  account_id   = "${local.prefix}brigade-classify"
  display_name = "${local.title}: the function that classifies messages"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "predict" {
  account_id   = "${local.prefix}brigade-predict"
  display_name = "${local.title}: the function that answers requests"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "push" {
  account_id   = "${local.prefix}brigade-push"
  display_name = "${local.title}: Pub/Sub, pushing to classify"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "build" {
  account_id   = "${local.prefix}brigade-build"
  display_name = "${local.title}: Cloud Build, making the functions' images"
  depends_on   = [google_project_service.needed]
}
