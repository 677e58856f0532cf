# A network of the pipeline's own: its machines have no public address. They reach Google through Private Google Access, and
# PyPI, from which the cluster takes what training needs, through Cloud NAT; nothing reaches them.
resource "google_compute_network" "brigade" {
  name                    = "${local.prefix}brigade"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.needed]
}

resource "google_compute_subnetwork" "brigade" {
  name                     = "${local.prefix}brigade"
  network                  = google_compute_network.brigade.id
  region                   = var.region
  ip_cidr_range            = "10.10.0.0/20"
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "EXCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "brigade" {
  name    = "${local.prefix}brigade"
  network = google_compute_network.brigade.id
  region  = var.region
}

resource "google_compute_router_nat" "brigade" {
  name                               = "${local.prefix}brigade"
  router                             = google_compute_router.brigade.name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.brigade.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# A cluster's machines talk to each other on any port.
resource "google_compute_firewall" "spark" {
  name      = "${local.prefix}brigade-spark"
  network   = google_compute_network.brigade.id
  direction = "INGRESS"

  source_service_accounts = [google_service_account.spark.email]
  target_service_accounts = [google_service_account.spark.email]

  allow {
    protocol = "tcp"
    ports    = ["0-65535"]
  }
  allow {
    protocol = "udp"
    ports    = ["0-65535"]
  }
  allow {
    protocol = "icmp"
  }
}

# Dataflow's workers hand data to each other on these two ports.
resource "google_compute_firewall" "landing" {
  name      = "${local.prefix}brigade-landing"
  network   = google_compute_network.brigade.id
  direction = "INGRESS"

  source_service_accounts = [google_service_account.landing.email]
  target_service_accounts = [google_service_account.landing.email]

  allow {
    protocol = "tcp"
    ports    = ["12345-12346"]
  }
}
