# What `make gcp-landing` and `make gcp-demo` have to know.

output "project_id" {
  description = "The project."
  value       = var.project_id
}

output "region" {
  description = "The region."
  value       = var.region
}

output "prefix" {
  description = "What stands before all names; empty for the project's first pipeline."
  value       = var.prefix
}

output "pipeline" {
  description = "The definition's name or URI."
  value       = var.pipeline
}

output "model_prefix" {
  description = "What stands before the date in the models' names."
  value       = local.model_prefix
}

output "vertex" {
  description = "Whether somebody may serve models on Vertex AI."
  value       = length(var.vertex_operators) > 0
}

output "input_bucket" {
  description = "Landed documents, dead letters, the parquet table."
  value       = google_storage_bucket.input.name
}

output "output_bucket" {
  description = "The models."
  value       = google_storage_bucket.output.name
}

output "code_bucket" {
  description = "Spark's programs and the functions' sources."
  value       = google_storage_bucket.code.name
}

output "temp_bucket" {
  description = "Dataflow's and Dataproc's own files."
  value       = google_storage_bucket.temp.name
}

output "logs_bucket" {
  description = "The pipeline's logs."
  value       = google_storage_bucket.logs.name
}

output "topic" {
  description = "Where documents are published."
  value       = google_pubsub_topic.documents.id
}

output "landing_subscription" {
  description = "What landing reads."
  value       = google_pubsub_subscription.landing.id
}

output "classified_subscription" {
  description = "Where classified documents can be pulled."
  value       = google_pubsub_subscription.classified.name
}

output "dead_letter_subscription" {
  description = "Where dead letters of classification wait."
  value       = google_pubsub_subscription.dead_letter.name
}

output "landing_service_account" {
  description = "Whom the Dataflow job's workers run as."
  value       = google_service_account.landing.email
}

output "spark_service_account" {
  description = "Whom the cluster's machines run as."
  value       = google_service_account.spark.email
}

output "subnetwork" {
  description = "projects/P/regions/R/subnetworks/S, for workers without a public address."
  value       = google_compute_subnetwork.brigade.id
}

output "scheduler_job" {
  description = "The weekly call of the trigger."
  value       = google_cloud_scheduler_job.retrain.name
}

output "monitor_template" {
  description = "The full name of the monitoring's workflow template."
  value       = local.monitor_template
}

output "workflow_template" {
  description = "The full name of the workflow template."
  value       = local.template
}

output "classify_url" {
  description = "Where Pub/Sub pushes."
  value       = google_cloudfunctions2_function.classify.service_config[0].uri
}

output "predict_url" {
  description = "Where requests are answered."
  value       = google_cloudfunctions2_function.predict.service_config[0].uri
}

output "trigger_url" {
  description = "Whom Cloud Scheduler calls."
  value       = google_cloudfunctions2_function.trigger.service_config[0].uri
}
