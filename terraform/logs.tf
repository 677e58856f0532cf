# A copy of what the pipeline logs, in a bucket that forgets after var.log_days. Nothing has to be left out: the lines of our
# programs hold ids, labels, counts and reasons, and no document's text.
resource "google_logging_project_sink" "logs" {
  #checkov:skip=CKV2_GCP_4:A locked bucket could not be deleted before its logs are old enough, not even by who pays for it.
  name                   = "${local.prefix}brigade"
  description            = "What functions, trigger, landing, training and their builds log."
  destination            = "storage.googleapis.com/${google_storage_bucket.logs.name}"
  unique_writer_identity = true # its one right is in permissions.tf

  filter = join(" OR ", [
    "(resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(\"${google_cloudfunctions2_function.classify.name}\" OR \"${google_cloudfunctions2_function.predict.name}\" OR \"${google_cloudfunctions2_function.trigger.name}\"))",
    "(resource.type=\"dataflow_step\" AND resource.labels.job_name=\"${local.landing_job}\")",
    "(resource.type=\"cloud_dataproc_cluster\" AND resource.labels.cluster_name=~\"^${local.cluster_name}\")",
    "resource.type=\"cloud_dataproc_job\"",
    "(resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=(\"${google_cloud_scheduler_job.retrain.name}\" OR \"${google_cloud_scheduler_job.look.name}\"))",
    "resource.type=\"build\"",
  ])
}
