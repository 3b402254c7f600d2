//! `--metrics ADDR:PORT`: what the node measures, for Prometheus.
//!
//! Place in the flow: started before anything that is measured.
//! Invariant: without the flag there is no recorder and no port.

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use std::net::SocketAddr;

/// Bounds of the times in seconds: from a call that touches memory to a block that is too slow for its slot.
const SECONDS: [f64; 16] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 12.0];

/// Flags of the metrics.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricsFlags {
    /// Serve metrics for Prometheus at this address.
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
}

impl MetricsFlags {
    /// Starts the recorder and its port, if they were asked for; inside the runtime that is to serve it.
    ///
    /// # Errors
    /// The address is taken.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let Some(address) = self.metrics else { return Ok(()) };
        // The exporter opens its port only when it runs, where nobody hears that it is taken.
        std::net::TcpListener::bind(address).with_context(|| format!("listening on {address} for metrics"))?;
        let builder = PrometheusBuilder::new().with_http_listener(address);
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
        let (recorder, serving) = builder.build().context("starting the metrics")?;
        metrics::set_global_recorder(recorder).map_err(|_| anyhow::anyhow!("there are metrics already"))?;
        laminar_rpc_shim::metrics::describe();
        tokio::spawn(serving);
        Ok(())
    }
}
