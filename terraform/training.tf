# ORDER and WHEN: the workflow template, made from workflow_template.yaml itself, and the weekly call of the trigger.

locals {
  # The file's bucket names stand for this project's. It says all else: machines, versions, arguments, parameters.
  workflow = yamldecode(replace(replace(replace(
    file("${path.module}/../workflow_template.yaml"),
    "gs://ml_input/", "gs://${local.input_bucket}/"),
    "gs://ml_output/", "gs://${local.output_bucket}/"),
    "gs://ml_code/", "gs://${local.code_bucket}/"
  ))
  cluster = local.workflow.placement.managedCluster

  # What stands in a job is what the trigger gives to the template's parameter.
  arguments = { for job in local.workflow.jobs : job.stepId => [
    for at, argument in job.pysparkJob.args :
    at > 0 && element(job.pysparkJob.args, max(at - 1, 0)) == "--pipeline" ? var.pipeline : argument
  ] }
}

resource "google_dataproc_workflow_template" "retrain" {
  name        = local.template_name
  location    = var.region
  labels      = local.workflow.labels
  dag_timeout = local.workflow.dagTimeout

  placement {
    managed_cluster {
      cluster_name = local.cluster_name

      config {
        staging_bucket = google_storage_bucket.temp.name
        temp_bucket    = google_storage_bucket.temp.name

        gce_cluster_config {
          internal_ip_only = local.cluster.config.gceClusterConfig.internalIpOnly
          service_account  = google_service_account.spark.email
          subnetwork       = google_compute_subnetwork.brigade.id

          shielded_instance_config {
            enable_secure_boot = local.cluster.config.gceClusterConfig.shieldedInstanceConfig.enableSecureBoot
          }
        }

        lifecycle_config {
          idle_delete_ttl = local.cluster.config.lifecycleConfig.idleDeleteTtl
        }

        master_config {
          num_instances = local.cluster.config.masterConfig.numInstances
          machine_type  = local.cluster.config.masterConfig.machineTypeUri

          disk_config {
            boot_disk_size_gb = local.cluster.config.masterConfig.diskConfig.bootDiskSizeGb
          }
        }

        # A cluster without workers says so by a property, and has no such block.
        dynamic "worker_config" {
          for_each = local.cluster.config.workerConfig.numInstances > 0 ? [local.cluster.config.workerConfig] : []

          content {
            num_instances = worker_config.value.numInstances
            machine_type  = worker_config.value.machineTypeUri

            disk_config {
              boot_disk_size_gb = worker_config.value.diskConfig.bootDiskSizeGb
            }
          }
        }

        dynamic "secondary_worker_config" {
          for_each = try([local.cluster.config.secondaryWorkerConfig], [])

          content {
            num_instances  = secondary_worker_config.value.numInstances
            preemptibility = secondary_worker_config.value.preemptibility

            disk_config {
              boot_disk_size_gb = secondary_worker_config.value.diskConfig.bootDiskSizeGb
            }
          }
        }

        dynamic "autoscaling_config" {
          for_each = try([local.cluster.config.autoscalingConfig], [])

          content {
            policy = autoscaling_config.value.policyUri
          }
        }

        software_config {
          image_version = local.cluster.config.softwareConfig.imageVersion
          properties    = local.cluster.config.softwareConfig.properties
        }
      }
    }
  }

  dynamic "jobs" {
    for_each = local.workflow.jobs

    content {
      step_id               = jobs.value.stepId
      prerequisite_step_ids = try(jobs.value.prerequisiteStepIds, [])

      pyspark_job {
        main_python_file_uri = jobs.value.pysparkJob.mainPythonFileUri
        python_file_uris     = try(jobs.value.pysparkJob.pythonFileUris, [])
        args                 = local.arguments[jobs.value.stepId]
      }
    }
  }

  dynamic "parameters" {
    for_each = local.workflow.parameters

    content {
      name        = parameters.value.name
      description = parameters.value.description
      fields      = parameters.value.fields

      validation {
        dynamic "regex" {
          for_each = try([parameters.value.validation.regex], [])

          content {
            regexes = regex.value.regexes
          }
        }
        dynamic "values" {
          for_each = try([parameters.value.validation.values], [])

          content {
            values = values.value.values
          }
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = local.is_uri || contains(local.definitions, var.pipeline)
      error_message = "Expected pipeline to be one of ${join(", ", local.definitions)}, or a gs:// URI, found ${var.pipeline}."
    }
    precondition {
      condition     = !local.is_uri || var.model_prefix != null
      error_message = "Expected model_prefix beside the URI ${var.pipeline}, found none. Set it to the definition's own model_prefix."
    }
    precondition {
      condition     = local.is_uri || var.model_prefix == null || var.model_prefix == local.model_prefix
      error_message = "Expected model_prefix ${local.model_prefix}, as the definition ${var.pipeline} says, found another. Leave it out."
    }
  }

  depends_on = [google_project_service.needed]
}

# Every Monday; the trigger counts the weeks.
resource "google_cloud_scheduler_job" "retrain" {
  name             = local.template_name
  region           = var.region
  description      = "Calls the retraining trigger, which knows what four weeks are."
  schedule         = "0 2 * * 1"
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s"

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.trigger.service_config[0].uri

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
