# LOOK: the monitoring's workflow template, made from monitor_template.yaml itself, and the call that acts on what it found.
# The trigger starts the template in a week without a training; what it may do with the findings are two variables.

locals {
  look = yamldecode(replace(replace(replace(
    file("${path.module}/../monitor_template.yaml"),
    "gs://ml_input/", "gs://${local.input_bucket}/"),
    "gs://ml_output/", "gs://${local.output_bucket}/"),
    "gs://ml_code/", "gs://${local.code_bucket}/"
  ))
  look_cluster = local.look.placement.managedCluster

  look_arguments = { for job in local.look.jobs : job.stepId => [
    for at, argument in job.pysparkJob.args :
    at > 0 && element(job.pysparkJob.args, max(at - 1, 0)) == "--pipeline" ? var.pipeline : argument
  ] }
}

resource "google_dataproc_workflow_template" "monitor" {
  name        = local.monitor_name
  location    = var.region
  labels      = local.look.labels
  dag_timeout = local.look.dagTimeout

  placement {
    managed_cluster {
      cluster_name = "${local.prefix}${local.look_cluster.clusterName}"

      config {
        staging_bucket = google_storage_bucket.temp.name
        temp_bucket    = google_storage_bucket.temp.name

        gce_cluster_config {
          internal_ip_only = local.look_cluster.config.gceClusterConfig.internalIpOnly
          service_account  = google_service_account.spark.email
          subnetwork       = google_compute_subnetwork.brigade.id

          shielded_instance_config {
            enable_secure_boot = local.look_cluster.config.gceClusterConfig.shieldedInstanceConfig.enableSecureBoot
          }
        }

        lifecycle_config {
          idle_delete_ttl = local.look_cluster.config.lifecycleConfig.idleDeleteTtl
        }

        master_config {
          num_instances = local.look_cluster.config.masterConfig.numInstances
          machine_type  = local.look_cluster.config.masterConfig.machineTypeUri

          disk_config {
            boot_disk_size_gb = local.look_cluster.config.masterConfig.diskConfig.bootDiskSizeGb
          }
        }

        software_config {
          image_version = local.look_cluster.config.softwareConfig.imageVersion
          properties    = local.look_cluster.config.softwareConfig.properties
        }
      }
    }
  }

  dynamic "jobs" {
    for_each = local.look.jobs

    content {
      step_id               = jobs.value.stepId
      prerequisite_step_ids = try(jobs.value.prerequisiteStepIds, [])

      pyspark_job {
        main_python_file_uri = jobs.value.pysparkJob.mainPythonFileUri
        python_file_uris     = jobs.value.pysparkJob.pythonFileUris
        args                 = local.look_arguments[jobs.value.stepId]
      }
    }
  }

  dynamic "parameters" {
    for_each = local.look.parameters

    content {
      name        = parameters.value.name
      description = parameters.value.description
      fields      = parameters.value.fields

      validation {
        regex {
          regexes = parameters.value.validation.regex.regexes
        }
      }
    }
  }

  depends_on = [google_project_service.needed]
}

# Four hours after the call that started the monitoring: by then there are findings, for alarms and for what may follow.
resource "google_cloud_scheduler_job" "look" {
  name             = "${local.prefix}brigade-look"
  region           = var.region
  description      = "Calls the retraining trigger for what the monitoring has found."
  schedule         = "0 6 * * 1"
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s"

  http_target {
    http_method = "POST"
    uri         = "${google_cloudfunctions2_function.trigger.service_config[0].uri}/?look=1"

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
