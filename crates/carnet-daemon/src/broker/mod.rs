//! The model gateway: OpenAI's and Anthropic's forms on this machine, answered by whom the broker's policy says.
//!
//! What is asked is looked through before it leaves, what is answered before the caller sees it; the most that a call can cost is
//! set aside before it is made; what fails is tried again, then asked of the next model; every call leaves a receipt, and what was
//! replaced stands in the log before it goes anywhere. Decisions are
//! those of `carnet_policy::broker`; this module carries them out. It refuses whoever does not speak from this machine's own
//! programs, bodies beyond [`REQUEST_BYTES_MAX`], and replies that are no replies. Keys go to the endpoint that the policy names
//! for them and nowhere else; redirects are not followed.

mod call;
mod door;
mod embed;
mod lines;
mod relay;
mod upstream;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use carnet_core::{Digest, LaneName, ModelExchange, Timestamp};
use carnet_policy::broker::{Breaker, BrokerPolicy, Catalogue, Meter, Target};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

pub use embed::{EmbedError, Embedder};

use crate::http::{Bounds, HttpError, run_stream_server};

/// Largest body of a request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Connections at once.
const CONNECTIONS_MAX: usize = 1024;
/// Bytes of streams under way that are kept for the record, all together; what goes beyond is metered and not recorded.
const STREAMED_BYTES_MAX: usize = 64 << 20;
/// Bytes of replies that are kept to answer again.
pub const CACHE_BYTES_MAX: usize = 64 << 20;

/// How often each name stands for something that was replaced.
pub type Names = BTreeMap<String, usize>;
/// Replaces what may not leave, or come back, in one text.
pub type Redact = Arc<dyn Fn(&str) -> (String, Names) + Send + Sync>;
/// Says whether a request in which something was replaced may leave; else under which id it waits for a person.
pub type Hold = Arc<dyn Fn(&[u8], &Names) -> Result<(), String> + Send + Sync>;
/// Writes into the log that something was replaced in a request (`out`) or its answer (`back`), and returns once it is on the disk;
/// else why it is not. It may block.
pub type Log = Arc<dyn Fn(Digest, &'static str, &Names) -> Result<(), String> + Send + Sync>;
/// Keeps a receipt and, of calls that were made, what was asked and answered.
pub type Keep = Arc<dyn Fn(Receipt, Option<ModelExchange>) + Send + Sync>;

/// What a gateway goes by.
pub struct Setup {
    /// The policy in force.
    pub policy: BrokerPolicy,
    /// Models that are known.
    pub catalogue: Catalogue,
    /// Keys of providers, by the names that the policy gives them.
    pub keys: BTreeMap<String, String>,
    /// The lane of calls that name none.
    pub lane: LaneName,
    /// What callers must show as their key; none where anyone on this machine may ask.
    pub caller_key: Option<String>,
    /// What was spent before.
    pub meter: Meter,
    /// Replies that the record has, by lane and digest of the request, oldest first.
    pub kept: Vec<(LaneName, Digest, Kept)>,
    /// Replaces what may not leave or come back.
    pub redact: Redact,
    /// Holds requests for a person.
    pub hold: Option<Hold>,
    /// Logs what is replaced, before it is sent or answered.
    pub log: Log,
    /// Keeps what happened.
    pub keep: Keep,
}

/// What one call took and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Always `carnet/broker-receipt/1`.
    pub format: String,
    /// When it ended.
    pub at: Timestamp,
    /// The lane.
    pub lane: LaneName,
    /// The task, where the caller named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Version of the policy.
    pub policy_version: String,
    /// Digest of the request, as in its exchange.
    pub request_sha256: Digest,
    /// Who answered, where someone did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// With which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The status that the caller saw.
    pub status: u16,
    /// Tokens of the request.
    pub tokens_in: u64,
    /// Tokens of the answer.
    pub tokens_out: u64,
    /// Whether tokens were estimated, for the endpoint did not count them.
    pub estimated: bool,
    /// What it cost in USD; 0 where the price is not known.
    pub cost_usd: f64,
    /// Elapsed milliseconds.
    pub ms: u64,
    /// Whether it was answered from what was kept.
    pub cached: bool,
    /// Endpoints that did not answer, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// What was replaced in the request.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub replaced_out: Names,
    /// What was replaced in the answer.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub replaced_back: Names,
}

/// Serves until the process is told to stop.
///
/// - `address`: on the loopback; the caller sees to it.
/// - `on_listen`: told the address once connections are taken.
///
/// # Errors
///
/// [`HttpError`].
pub fn serve_models(
    address: SocketAddr,
    mut setup: Setup,
    on_listen: impl FnOnce(SocketAddr),
) -> Result<(), HttpError> {
    let mut cache = Cache::default();
    for (lane, digest, kept) in std::mem::take(&mut setup.kept) {
        cache.put(&lane, digest, kept);
    }
    let gateway = Arc::new(Gateway {
        state: Mutex::new(State { meter: setup.meter.clone(), cache, ..State::default() }),
        clients: upstream::Clients::new()
            .map_err(|error| HttpError::Runtime(std::io::Error::other(error)))?,
        setup,
    });
    // Each call has a connection to its caller and one to a model; many systems give fewer descriptors than they would.
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = 2 * CONNECTIONS_MAX as u64 + 64;
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |most| most.min(wanted)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let bounds = Bounds { connections: CONNECTIONS_MAX, body_bytes: REQUEST_BYTES_MAX };
    let answer = Arc::new(move |request| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
        Box::pin(door::answer(Arc::clone(&gateway), request))
    });
    run_stream_server(address, bounds, answer, on_listen)
}

/// One gateway at work.
struct Gateway {
    setup: Setup,
    clients: upstream::Clients,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    meter: Meter,
    breakers: HashMap<Target, Breaker>,
    cache: Cache,
    /// Bytes of streams under way that are kept.
    n_streamed: usize,
}

impl Gateway {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

/// A reply that answers the same request again.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Who gave it.
    pub target: Target,
    /// It, as its caller saw it.
    pub body: Vec<u8>,
}

/// Replies by lane and digest of the request, the oldest forgotten first.
#[derive(Default)]
struct Cache {
    replies: HashMap<(LaneName, Digest), Kept>,
    order: VecDeque<(LaneName, Digest)>,
    n_bytes: usize,
}

impl Cache {
    fn get(&self, lane: &LaneName, digest: Digest) -> Option<Kept> {
        self.replies.get(&(lane.clone(), digest)).cloned()
    }

    fn put(&mut self, lane: &LaneName, digest: Digest, kept: Kept) {
        let key = (lane.clone(), digest);
        if kept.body.len() > CACHE_BYTES_MAX / 8 || self.replies.contains_key(&key) {
            return;
        }
        self.n_bytes += kept.body.len();
        self.order.push_back(key.clone());
        self.replies.insert(key, kept);
        while self.n_bytes > CACHE_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.n_bytes -= self.replies.remove(&oldest).map_or(0, |kept| kept.body.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let mut cache = Cache::default();
        let lane = LaneName::new("narrative").expect("because it is a name");
        let digest = |n: u32| Digest::of(&n.to_be_bytes());
        let kept = |n_bytes| Kept { target: Target::new("a", "b"), body: vec![0; n_bytes] };
        for number in 0..20 {
            cache.put(&lane, digest(number), kept(CACHE_BYTES_MAX / 10));
        }
        assert!(cache.n_bytes <= CACHE_BYTES_MAX && cache.replies.len() == cache.order.len());
        assert!(cache.get(&lane, digest(0)).is_none() && cache.get(&lane, digest(19)).is_some());
        cache.put(&lane, digest(99), kept(CACHE_BYTES_MAX));
        assert!(cache.get(&lane, digest(99)).is_none());
        let other = LaneName::new("other").expect("because it is a name");
        assert!(cache.get(&other, digest(19)).is_none());
    }
}
