# ORDER and WHEN: the workflow templates, made from workflow_template.yaml and monitor_template.yaml themselves, and the weekly
# call of the trigger.

locals {
  workflow_files = {
    retrain = file("${path.module}/../workflow_template.yaml")
    monitor = file("${path.module}/../monitor_template.yaml")
  }

  # The files' bucket names stand for this project's. They say all else: machines, versions, arguments, parameters.
  workflows = { for name, text in local.workflow_files : name => yamldecode(replace(replace(replace(
    text,
    "gs://ml_input/", "gs://${local.input_bucket}/"),
    "gs://ml_output/", "gs://${local.output_bucket}/"),
    "gs://ml_code/", "gs://${local.code_bucket}/"
  )) }
}

resource "google_dataproc_workflow_template" "workflow" {
  for_each = local.workflows

  name        = { retrain = local.template_name, monitor = local.monitor_name }[each.key]
  location    = var.region
  labels      = each.value.labels
  dag_timeout = each.value.dagTimeout

  placement {
    managed_cluster {
      cluster_name = "${local.prefix}${each.value.placement.managedCluster.clusterName}"

      config {
        staging_bucket = google_storage_bucket.temp.name
        temp_bucket    = google_storage_bucket.temp.name

        gce_cluster_config {
          internal_ip_only = each.value.placement.managedCluster.config.gceClusterConfig.internalIpOnly
          service_account  = google_service_account.spark.email
          subnetwork       = google_compute_subnetwork.brigade.id

          shielded_instance_config {
            enable_secure_boot = each.value.placement.managedCluster.config.gceClusterConfig.shieldedInstanceConfig.enableSecureBoot
          }
        }

        lifecycle_config {
          idle_delete_ttl = each.value.placement.managedCluster.config.lifecycleConfig.idleDeleteTtl
        }

        master_config {
          num_instances = each.value.placement.managedCluster.config.masterConfig.numInstances
          machine_type  = each.value.placement.managedCluster.config.masterConfig.machineTypeUri

          disk_config {
            boot_disk_size_gb = each.value.placement.managedCluster.config.masterConfig.diskConfig.bootDiskSizeGb
          }
        }

        # A cluster without workers says so by a property, and has no such block.
        dynamic "worker_config" {
          for_each = each.value.placement.managedCluster.config.workerConfig.numInstances > 0 ? [each.value.placement.managedCluster.config.workerConfig] : []

          content {
            num_instances = worker_config.value.numInstances
            machine_type  = worker_config.value.machineTypeUri

            disk_config {
              boot_disk_size_gb = worker_config.value.diskConfig.bootDiskSizeGb
            }
          }
        }

        dynamic "secondary_worker_config" {
          for_each = try([each.value.placement.managedCluster.config.secondaryWorkerConfig], [])

          content {
            num_instances  = secondary_worker_config.value.numInstances
            preemptibility = secondary_worker_config.value.preemptibility

            disk_config {
              boot_disk_size_gb = secondary_worker_config.value.diskConfig.bootDiskSizeGb
            }
          }
        }

        dynamic "autoscaling_config" {
          for_each = try([each.value.placement.managedCluster.config.autoscalingConfig], [])

          content {
            policy = autoscaling_config.value.policyUri
          }
        }

        software_config {
          image_version = each.value.placement.managedCluster.config.softwareConfig.imageVersion
          properties    = each.value.placement.managedCluster.config.softwareConfig.properties
        }
      }
    }
  }

  dynamic "jobs" {
    for_each = each.value.jobs

    content {
      step_id               = jobs.value.stepId
      prerequisite_step_ids = try(jobs.value.prerequisiteStepIds, [])

      pyspark_job {
        main_python_file_uri = jobs.value.pysparkJob.mainPythonFileUri
        python_file_uris     = try(jobs.value.pysparkJob.pythonFileUris, [])
        # What stands in a job is what the trigger gives to the template's parameter.
        args = [
          for at, argument in jobs.value.pysparkJob.args :
          at > 0 && element(jobs.value.pysparkJob.args, max(at - 1, 0)) == "--pipeline" ? var.pipeline : argument
        ]
      }
    }
  }

  dynamic "parameters" {
    for_each = each.value.parameters

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

moved {
  from = google_dataproc_workflow_template.retrain
  to   = google_dataproc_workflow_template.workflow["retrain"]
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
