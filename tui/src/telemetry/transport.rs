//! One export over gRPC or HTTP.

use std::time::Duration;

#[cfg(feature = "otlp-profiles")]
use opentelemetry_proto::tonic::collector::profiles::v1development::{
    ExportProfilesServiceRequest, profiles_service_client::ProfilesServiceClient,
};
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
};
use prost::Message;
use thiserror::Error;
use tonic::{
    Request,
    metadata::{MetadataKey, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::settings::{Protocol, Signal};
use crate::alerts::{Http, HttpError};

/// Why an export failed.
#[derive(Debug, Error)]
pub(super) enum ExportError {
    /// The address or a header cannot be used at all.
    #[error("{0}")]
    Settings(String),
    /// gRPC.
    #[error("{}: {}", .0.code().description(), .0.message())]
    Grpc(#[source] Box<tonic::Status>),
    /// HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The client's thread ended.
    #[error("the export was given up")]
    GivenUp,
    /// Some of it was refused.
    #[error("{rejected} refused: {message}")]
    Partly {
        /// How many.
        rejected: i64,
        /// Why.
        message: String,
    },
}

impl ExportError {
    /// Whether another try may help, as the protocol's specification has it.
    pub(super) fn may_pass(&self) -> bool {
        use tonic::Code;
        match self {
            Self::Settings(_) | Self::Partly { .. } => false,
            Self::Grpc(status) => matches!(
                status.code(),
                Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
                    | Code::Aborted
                    | Code::OutOfRange
                    | Code::Unavailable
                    | Code::DataLoss
                    // What a connection that breaks gives.
                    | Code::Unknown
            ),
            Self::Http(error) => error.may_pass(),
            Self::GivenUp => true,
        }
    }
}

/// A message that can be exported.
pub(super) trait Export: Message + Default + Clone + 'static {
    /// The answer.
    type Answer: Message + Default;

    /// What was refused, and why.
    fn refused(answer: &Self::Answer) -> Option<(i64, String)>;

    /// Sends it by gRPC.
    fn send(
        channel: Channel,
        request: Request<Self>,
    ) -> impl Future<Output = Result<Self::Answer, tonic::Status>> + Send;
}

macro_rules! export {
    ($request:ty, $client:ident, $answer:ty, $rejected:ident) => {
        impl Export for $request {
            type Answer = $answer;

            fn refused(answer: &Self::Answer) -> Option<(i64, String)> {
                let partly = answer.partial_success.as_ref()?;
                (partly.$rejected > 0).then(|| (partly.$rejected, partly.error_message.clone()))
            }

            async fn send(
                channel: Channel,
                request: Request<Self>,
            ) -> Result<Self::Answer, tonic::Status> {
                let answer = $client::new(channel).export(request).await?;
                Ok(answer.into_inner())
            }
        }
    };
}

export!(
    ExportMetricsServiceRequest,
    MetricsServiceClient,
    opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse,
    rejected_data_points
);
export!(
    ExportLogsServiceRequest,
    LogsServiceClient,
    opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse,
    rejected_log_records
);
#[cfg(feature = "otlp-profiles")]
export!(
    ExportProfilesServiceRequest,
    ProfilesServiceClient,
    opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceResponse,
    rejected_profiles
);

enum Client {
    Grpc(Channel),
    Http { http: Http, url: String },
}

/// The way to one endpoint.
pub(super) struct Transport {
    client: Client,
    headers: Vec<(String, String)>,
    timeout: Duration,
}

impl Transport {
    /// Made inside the runtime that exports: the connection lives in it. Nothing is connected yet, and
    /// a connection that broke is made anew by the next export.
    pub(super) fn new(signal: &Signal) -> Result<Self, ExportError> {
        let unusable = |error: tonic::transport::Error| ExportError::Settings(error.to_string());
        let client = match signal.protocol {
            Protocol::Http => Client::Http {
                http: Http::new(signal.timeout),
                url: signal.url.clone(),
            },
            Protocol::Grpc => {
                let mut endpoint = Endpoint::from_shared(signal.url.clone())
                    .map_err(unusable)?
                    .connect_timeout(signal.timeout)
                    .timeout(signal.timeout);
                if signal.url.starts_with("https://") {
                    let tls = ClientTlsConfig::new().with_native_roots();
                    endpoint = endpoint.tls_config(tls).map_err(unusable)?;
                }
                Client::Grpc(endpoint.connect_lazy())
            }
        };
        Ok(Self {
            client,
            headers: signal.headers.clone(),
            timeout: signal.timeout,
        })
    }

    pub(super) async fn export<T: Export>(&self, message: T) -> Result<(), ExportError> {
        let answer = match &self.client {
            Client::Grpc(channel) => {
                let mut request = Request::new(message);
                request.set_timeout(self.timeout);
                for (name, value) in &self.headers {
                    let unusable =
                        || ExportError::Settings(format!("the header {name} is not valid"));
                    let name = MetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes())
                        .map_err(|_| unusable())?;
                    let value = MetadataValue::try_from(value).map_err(|_| unusable())?;
                    request.metadata_mut().insert(name, value);
                }
                T::send(channel.clone(), request)
                    .await
                    .map_err(|status| ExportError::Grpc(Box::new(status)))?
            }
            Client::Http { http, url } => {
                let (http, url, headers) = (http.clone(), url.clone(), self.headers.clone());
                let posted = tokio::task::spawn_blocking(move || {
                    let body = message.encode_to_vec();
                    http.post(&url, "application/x-protobuf", &headers, &body)
                });
                let body = posted.await.map_err(|_| ExportError::GivenUp)??;
                // Some collectors answer in JSON; accepted is accepted.
                T::Answer::decode(body.as_slice()).unwrap_or_default()
            }
        };
        match T::refused(&answer) {
            Some((rejected, message)) => Err(ExportError::Partly { rejected, message }),
            None => Ok(()),
        }
    }
}
