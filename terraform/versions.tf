# What enters: a project with billing and the variables of variables.tf. What leaves: everything that Brigade runs on, but
# for the Dataflow job, which `make gcp-landing` starts.
#
#   make gcp-plan PROJECT=my-project     # what would change
#   make gcp-up PROJECT=my-project       # change it
#
# The state lies in a folder of its own for each project (a workspace), on this machine; backend.tf.example moves it to a
# bucket.
terraform {
  required_version = ">= 1.6"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "6.50.0" # the newest whose schema is published where the tests can read it
    }
    archive = {
      source  = "hashicorp/archive"
      version = "2.7.1"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region

  default_labels = local.labels
}

data "google_project" "this" {
  project_id = var.project_id
}
