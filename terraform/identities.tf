# One identity for each component, and no key for any of them: each is attached to what runs as it. What they may do stands
# in permissions.tf alone.
resource "google_service_account" "landing" {
  account_id   = "brigade-landing"
  display_name = "Brigade: workers of the Dataflow job"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "spark" {
  account_id   = "brigade-spark"
  display_name = "Brigade: machines of the Dataproc cluster"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "trigger" {
  account_id   = "brigade-trigger"
  display_name = "Brigade: the function that starts the workflow"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "scheduler" {
  account_id   = "brigade-scheduler"
  display_name = "Brigade: Cloud Scheduler, calling the trigger"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "classify" {
  account_id   = "brigade-classify"
  display_name = "Brigade: the function that classifies messages"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "predict" {
  account_id   = "brigade-predict"
  display_name = "Brigade: the function that answers requests"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "push" {
  account_id   = "brigade-push"
  display_name = "Brigade: Pub/Sub, pushing to classify"
  depends_on   = [google_project_service.needed]
}

resource "google_service_account" "build" {
  account_id   = "brigade-build"
  display_name = "Brigade: Cloud Build, making the functions' images"
  depends_on   = [google_project_service.needed]
}
