variable "project_id" {
  type        = string
  description = "The project in which everything is created; it has to exist and have billing."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "Expected a project's id: 6 to 30 lower-case letters, digits and -, beginning with a letter."
  }
}

variable "region" {
  type        = string
  default     = "us-central1"
  description = "Where all of it runs and all data lies."
}

variable "pipeline" {
  type        = string
  default     = "documents"
  description = "What the events are and what is learned: a name in pipelines/, or the gs:// URI of a definition of your own."

  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{0,29}|gs://[a-z0-9][a-z0-9._-]+[a-z0-9]/.+\\.(yaml|yml|json))$", var.pipeline))
    error_message = "Expected a name in pipelines/, such as wine, or a gs:// URI that ends in .yaml, .yml or .json."
  }
}

variable "model_prefix" {
  type        = string
  default     = null
  description = "What stands before the date in the names of the models that are served and trained: model_prefix of a definition that pipeline names by a URI. Null: that of the named definition."

  validation {
    condition     = var.model_prefix == null || can(regex("^[a-z]([a-z0-9-]{0,58}[a-z0-9])?$", var.model_prefix)) && !can(regex("-\\d{4}-\\d\\d-\\d\\d$", var.model_prefix))
    error_message = "Expected what stands before the date in a model's name, such as wine-model."
  }
}

variable "prefix" {
  type        = string
  default     = ""
  description = "What stands before all names, so that several pipelines live in one project side by side, each with a state of its own. Empty: nothing."

  validation {
    condition     = can(regex("^([a-z]([a-z0-9-]{0,10}[a-z0-9])?)?$", var.prefix))
    error_message = "Expected nothing, or 1 to 12 lower-case letters, digits and -, beginning with a letter and not ending with -."
  }
}

variable "schedule_anchor" {
  type        = string
  default     = "2026-01-05"
  description = "The Monday, YYYY-MM-DD, from which four-week periods are counted."

  validation {
    condition     = can(formatdate("EEE", "${var.schedule_anchor}T00:00:00Z")) && try(formatdate("EEE", "${var.schedule_anchor}T00:00:00Z"), "") == "Mon"
    error_message = "Expected a Monday as YYYY-MM-DD, for example 2026-01-05."
  }
}

variable "early_training" {
  type        = string
  default     = "dry"
  description = "Whether decay, or strong drift with labels, starts a training ahead of time, once a period at most: off, dry (only says so) or on."

  validation {
    condition     = contains(["off", "dry", "on"], var.early_training)
    error_message = "Expected off, dry or on."
  }
}

variable "withdrawal" {
  type        = string
  default     = "dry"
  description = "Whether a model is withdrawn that is clearly worse on fresh labelled events than the one before it: off, dry (only says so) or on."

  validation {
    condition     = contains(["off", "dry", "on"], var.withdrawal)
    error_message = "Expected off, dry or on."
  }
}

variable "classify_min_instances" {
  type        = number
  default     = 1
  description = "Instances of classify that are always warm; 0 costs nothing at rest, and a cold start on the first document."
}

variable "classify_max_instances" {
  type        = number
  default     = 20
  description = "The most instances of classify; each takes 40 documents at a time."
}

variable "serving_memory" {
  type        = string
  default     = "512Mi"
  description = "Memory of an instance of classify or predict: about 100 MiB, and twice the model's weights while a newer one comes in."
}

variable "model_refresh_seconds" {
  type        = number
  default     = 300
  description = "How often an instance looks for a newer model, at most."
}

variable "model_pin" {
  type        = string
  default     = ""
  description = "A model's name, or NAME/RUN_ID: the functions then serve this one and no newer one. Empty: the latest."
}

variable "predict_ingress" {
  type        = string
  default     = "ALLOW_INTERNAL_ONLY"
  description = "Who reaches predict at all: ALLOW_INTERNAL_ONLY, ALLOW_INTERNAL_AND_GCLB or ALLOW_ALL. Callers need run.invoker besides."
}

variable "predict_invokers" {
  type        = set(string)
  default     = []
  description = "Who may call predict, such as serviceAccount:app@my-project.iam.gserviceaccount.com."

  validation {
    condition     = alltrue([for member in var.predict_invokers : !can(regex("all(Authenticated)?Users", member))])
    error_message = "Expected people and accounts by name, not allUsers or allAuthenticatedUsers."
  }
}

variable "publishers" {
  type        = set(string)
  default     = []
  description = "Who may publish documents, such as serviceAccount:intake@my-project.iam.gserviceaccount.com."

  validation {
    condition     = alltrue([for member in var.publishers : !can(regex("all(Authenticated)?Users", member))])
    error_message = "Expected people and accounts by name, not allUsers or allAuthenticatedUsers."
  }
}

variable "operators" {
  type        = set(string)
  default     = []
  description = "Who may promote and withdraw models, such as group:ml-operators@example.com."

  validation {
    condition     = alltrue([for member in var.operators : !can(regex("all(Authenticated)?Users", member))])
    error_message = "Expected people and accounts by name, not allUsers or allAuthenticatedUsers."
  }
}

variable "dead_letter_days" {
  type        = number
  default     = 90
  description = "How long landing's dead letters and conversion's quarantined lines are kept, in days."
}

variable "log_days" {
  type        = number
  default     = 90
  description = "How long the pipeline's logs are kept in their bucket, in days."
}

variable "alert_email" {
  type        = string
  default     = null
  description = "Whom alarms are sent to by e-mail, beside the topic ml_alerts. Null: nobody."
}
