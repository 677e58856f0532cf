# What `make gcp-vertex` needs beyond the rest: only for those who serve models on Vertex AI. Nothing is uploaded or deployed
# here: a deployed model costs money for every hour, and comes and goes by a command.
#
# Google's own agent for Vertex AI reads the image and the models' files, and Google grants it that in its own project. The
# container runs as an account that Google keeps, and reads the copy of its model only.
variable "vertex_operators" {
  type        = set(string)
  default     = []
  description = "Who may upload and deploy models on Vertex AI, such as group:ml-operators@example.com. Empty: its API stays off."

  validation {
    condition     = alltrue([for member in var.vertex_operators : !can(regex("all(Authenticated)?Users", member))])
    error_message = "Expected people and accounts by name, not allUsers or allAuthenticatedUsers."
  }
}

variable "vertex_callers" {
  type        = set(string)
  default     = []
  description = "Who may ask the endpoints of Vertex AI, such as serviceAccount:app@my-project.iam.gserviceaccount.com."

  validation {
    condition     = alltrue([for member in var.vertex_callers : !can(regex("all(Authenticated)?Users", member))])
    error_message = "Expected people and accounts by name, not allUsers or allAuthenticatedUsers."
  }
}

resource "google_project_service" "vertex" {
  count = length(var.vertex_operators) > 0 ? 1 : 0

  service            = "aiplatform.googleapis.com"
  disable_on_destroy = false
}

resource "google_project_iam_custom_role" "vertex_operator" {
  count = length(var.vertex_operators) > 0 ? 1 : 0

  role_id     = "${local.underscore}brigadeVertexOperator"
  title       = "${local.title}: serve on Vertex AI"
  description = "Upload versions of models, make endpoints, deploy and undeploy; remove neither models nor endpoints."
  permissions = [
    "aiplatform.endpoints.create",
    "aiplatform.endpoints.deploy",
    "aiplatform.endpoints.get",
    "aiplatform.endpoints.list",
    "aiplatform.endpoints.predict",
    "aiplatform.endpoints.undeploy",
    "aiplatform.endpoints.update",
    "aiplatform.models.get",
    "aiplatform.models.list",
    "aiplatform.models.upload",
  ]
  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "vertex_operators" {
  for_each = var.vertex_operators

  project = var.project_id
  role    = google_project_iam_custom_role.vertex_operator[0].name
  member  = each.key
}

resource "google_project_iam_custom_role" "vertex_caller" {
  count = length(var.vertex_callers) > 0 ? 1 : 0

  role_id     = "${local.underscore}brigadeVertexCaller"
  title       = "${local.title}: ask Vertex AI"
  description = "Ask the endpoints; no more."
  permissions = ["aiplatform.endpoints.predict"]
  depends_on  = [google_project_service.needed]
}

resource "google_project_iam_member" "vertex_callers" {
  for_each = var.vertex_callers

  project = var.project_id
  role    = google_project_iam_custom_role.vertex_caller[0].name
  member  = each.key
}
