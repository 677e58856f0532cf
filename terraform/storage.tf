# Five buckets: what landed, the models, the code that runs, what may be lost, and logs. None can be made public; the first
# two and the logs outlive `make gcp-down` unless they are named there.

# Landed documents, dead letters, the parquet table and its quarantine.
resource "google_storage_bucket" "input" {
  #checkov:skip=CKV_GCP_62:Google advises audit logs instead, which cost by volume and are the owner's to choose
  name                        = local.input_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # The table's manifest is replaced by each conversion: its former versions tell how things were.
  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 604800 # a week to take a mistake back
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 14
    }
  }

  # A file that a dying worker left under its hidden name; a living one has its name within seconds.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 7
      matches_suffix = [".staged"]
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.dead_letter_days
      matches_prefix = ["dead_letter/", "quarantine/"]
      with_state     = "LIVE"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  depends_on = [google_project_service.needed]
}

# The dated models.
resource "google_storage_bucket" "output" {
  #checkov:skip=CKV_GCP_62:Google advises audit logs instead, which cost by volume and are the owner's to choose
  name                        = local.output_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # A second run of a date replaces the manifest.
  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 90
    }
  }

  depends_on = [google_project_service.needed]
}

# Spark's programs and the functions' sources. Nothing that runs may write here.
resource "google_storage_bucket" "code" {
  #checkov:skip=CKV_GCP_62:Google advises audit logs instead, which cost by volume and are the owner's to choose
  name                        = local.code_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # all of it comes from this repository

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 90
    }
  }

  depends_on = [google_project_service.needed]
}

# Dataflow's and Dataproc's own files.
resource "google_storage_bucket" "temp" {
  #checkov:skip=CKV_GCP_62:Google advises audit logs instead, which cost by volume and are the owner's to choose
  #checkov:skip=CKV_GCP_78:what may be lost has no former version worth keeping
  name                        = local.temp_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  soft_delete_policy {
    retention_duration_seconds = 0 # what may be lost need not be paid for twice
  }

  # A streaming Dataflow job keeps its program here and reads it for each new worker, however old it is. So nothing goes by
  # age but what ended clusters leave and the sources of builds.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 14
      matches_prefix = ["google-cloud-dataproc-metainfo/", "build/"]
    }
  }

  depends_on = [google_project_service.needed]
}

# The pipeline's logs, copied here by the sink of logs.tf.
resource "google_storage_bucket" "logs" {
  #checkov:skip=CKV_GCP_62:it holds logs itself
  #checkov:skip=CKV_GCP_78:the sink writes each of its files once
  name                        = local.logs_bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  storage_class               = "NEARLINE"

  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.log_days
    }
  }

  depends_on = [google_project_service.needed]
}

# What workflow_template.yaml runs, under the names that it gives.
resource "google_storage_bucket_object" "programs" {
  for_each = {
    "spark_sql.py"      = "../spark_sql.py"
    "train_ml_model.py" = "../train_ml_model.py"
    "predict.py"        = "../predict.py" # runs if the template's third step is asked for
    "monitor.py"        = "../monitor.py" # of monitor_template.yaml
    "brigade.zip"       = "../build/brigade.zip"
  }

  bucket = google_storage_bucket.code.name
  name   = each.key
  source = "${path.module}/${each.value}"

  lifecycle {
    precondition {
      condition     = fileexists("${path.module}/${each.value}")
      error_message = "Expected ${each.value}, found no such file. Run `make package` first; `make gcp-up` does."
    }
  }
}
