//! From measured costs to what a machine can do, one resource after the other.

use hdrhistogram::Histogram;
use ringkeep_bench::quantity::{Rate, Size, Span};
use ringkeep_bench::report::decode_histogram;
use ringkeep_bench::slo::{ClockName, Metric, Relation, Statistic};

use super::evidence::{Demands, Seen};
use super::need::{CLASSES, Need, class};
use super::place::Place;
use super::queue::response_ns;
use super::skew::{hottest_shard, miss_share};

/// Share of a core that more of them still give, where nothing was fitted.
const CORE_YIELD: f64 = 0.9;
/// A disk is full at this.
const FILL: f64 = 0.8;
/// Space that merges take while they run, over the data.
const MERGE_SPACE: f64 = 0.25;
/// Memory that the system and everything else takes.
const OTHER_BYTES: f64 = 512e6;
/// Reads of the device for a get that finds nothing in memory, where none was ever seen.
const READS_PER_MISS: f64 = 1.05;

/// One resource and how far it goes.
#[derive(Clone, Debug)]
pub struct Resource {
    pub name: &'static str,
    /// How many times over the need is met; infinite where nothing is asked of it.
    pub headroom: f64,
    /// The formula with its numbers.
    pub terms: String,
}

/// The measured side of the model.
pub struct Model<'a> {
    pub need: &'a Need,
    pub seen: &'a [Seen],
    pub demands: Demands,
    pub theta: f64,
    service: Option<Histogram<u64>>,
}

/// The amplifications and fixed costs that the evidence shows.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub space: f64,
    pub write: f64,
    pub resident_per_key: f64,
    pub memtable_bytes: f64,
}

impl<'a> Model<'a> {
    pub fn new(need: &'a Need, seen: &'a [Seen]) -> Model<'a> {
        let measured_theta = seen.iter().map(|phase| phase.theta).fold(0.0, f64::max);
        // Service times of the slowest class of the need, from the quietest phase that has it.
        let wanted = need.slo.iter().find_map(|slo| match slo.metric {
            Metric::Latency(kind, ..) => Some(kind),
            _ => None,
        });
        let wanted = wanted.unwrap_or(need.rates[0].0);
        let service = seen
            .iter()
            .filter(|phase| !phase.saturated)
            .filter_map(|phase| {
                let ops = phase.record.streams.iter().flat_map(|stream| &stream.ops);
                let op = ops.filter(|op| op.count > 1000).find(|op| {
                    ringkeep_bench::workload::OpKind::from_name(&op.op)
                        .is_some_and(|kind| class(kind) == class(wanted))
                })?;
                Some((phase.rate, decode_histogram(&op.service.histogram).ok()?))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|found| found.1);
        Model {
            need,
            seen,
            demands: Demands::of(seen),
            theta: need.theta.unwrap_or(measured_theta),
            service,
        }
    }

    /// Classes that the need has and nobody measured.
    pub fn unseen(&self) -> Vec<usize> {
        let asked = self.need.classes();
        (0..CLASSES)
            .filter(|&c| asked[c] > 0.0 && self.demands.cpu_ns[c].is_none())
            .collect()
    }

    fn mean(&self, costs: &[Option<f64>; CLASSES]) -> f64 {
        let asked = self.need.classes();
        let sum: f64 = (0..CLASSES)
            .map(|c| asked[c] * costs[c].unwrap_or(0.0))
            .sum();
        sum / self.need.rate()
    }

    pub fn measured(&self) -> Measured {
        let most = |pick: &dyn Fn(&Seen) -> f64| self.seen.iter().map(pick).fold(0.0, f64::max);
        Measured {
            space: most(&|p| p.disk_bytes / p.user_bytes.max(1.0)).max(1.0),
            write: most(&|p| match p.user_write_bytes > 1e6 {
                true => p.device_write_bytes / p.user_write_bytes,
                false => 0.0,
            }),
            resident_per_key: most(&|p| p.resident_bytes / p.keys.max(1) as f64),
            memtable_bytes: most(&|p| p.memtable_bytes),
        }
    }

    /// Memory that is left for the cache.
    fn cache_bytes(&self, ram_bytes: f64) -> f64 {
        let m = self.measured();
        let fixed =
            OTHER_BYTES + 2.0 * m.memtable_bytes + m.resident_per_key * self.need.keys as f64;
        (ram_bytes - fixed).max(0.0) * 0.9
    }

    /// Device reads of a read with this much cache: as measured, scaled by what the law says a cache misses.
    fn reads_per_read(&self, ram_bytes: f64) -> f64 {
        let cached = (self.cache_bytes(ram_bytes) / self.need.user_bytes()).min(1.0);
        let miss = miss_share(self.need.keys, self.theta, cached);
        let seen: Vec<f64> = self
            .seen
            .iter()
            .filter(|p| p.operations[0] > 0.9 * p.operations.iter().sum::<f64>())
            .filter_map(|p| {
                let there = miss_share(p.keys, p.theta, p.cache_share.min(1.0));
                let reads = p.device_reads / p.operations[0];
                (there > 0.01 && reads > 0.001).then_some(reads / there)
            })
            .collect();
        let per_miss = match seen.is_empty() {
            true => READS_PER_MISS,
            false => seen.iter().sum::<f64>() / seen.len() as f64,
        };
        miss * per_miss
    }

    /// Highest rate that cores, device and objectives allow.
    pub fn rate_max(&self, cores: usize, ram_bytes: f64, place: &Place) -> f64 {
        let here = Place {
            cores,
            ram_bytes,
            ..place.clone()
        };
        self.rates(&here)
            .iter()
            .map(|resource| resource.headroom * self.need.rate())
            .fold(f64::INFINITY, f64::min)
    }

    fn rates(&self, place: &Place) -> Vec<Resource> {
        let need = self.need;
        let rate = need.rate();
        let shards = place.target_cores();
        let hottest = hottest_shard(need.keys, self.theta, shards);
        let cpu_ns = self.mean(&self.demands.cpu_ns).max(1.0);
        let yielded = if shards > 1 { CORE_YIELD } else { 1.0 };
        let cpu_max = 1e9 / cpu_ns / hottest * yielded;
        let mut all = vec![Resource {
            name: "CPU",
            headroom: cpu_max / rate,
            terms: format!(
                "{} of CPU per op on {shards} of {} cores, hottest shard {:.0} % of the load, yield {yielded}: at most {}",
                Span { ns: cpu_ns as u64 },
                place.cores,
                hottest * 100.0,
                Rate { per_s: cpu_max },
            ),
        }];
        let asked = need.classes();
        let reads = asked[0] * self.reads_per_read(place.ram_bytes)
            + asked[1] * self.demands.device_reads[1].unwrap_or(0.0)
            + asked[2] * self.demands.device_reads[2].unwrap_or(0.0);
        all.push(Resource {
            name: "device reads",
            headroom: place.read_per_s / reads,
            terms: format!(
                "{} needed with {} of cache, {} possible",
                Rate { per_s: reads },
                Size {
                    bytes: self.cache_bytes(place.ram_bytes) as u64
                },
                Rate {
                    per_s: place.read_per_s
                },
            ),
        });
        let written = asked[1] * (need.key_size + need.value_size) as f64 * self.measured().write;
        all.push(Resource {
            name: "device writes",
            headroom: place.write_bytes_per_s / written,
            terms: format!(
                "{}/s with write amplification {:.1}, {}/s possible; {:.2} drive writes a day",
                Size {
                    bytes: written as u64
                },
                self.measured().write,
                Size {
                    bytes: place.write_bytes_per_s as u64
                },
                written * 86_400.0 / place.disk_bytes.max(1.0),
            ),
        });
        for slo in &need.slo {
            let Metric::Latency(_, ClockName::Response, Statistic::Quantile(q)) = slo.metric else {
                continue;
            };
            if !matches!(slo.relation, Relation::Below | Relation::AtMost) {
                continue;
            }
            let at = |factor: f64| {
                response_ns(rate * factor * hottest, cpu_ns, self.service.as_ref(), q)
            };
            let limit = slo.limit;
            let now = at(1.0);
            let (mut low, mut high) = (0.0, cpu_max / rate);
            for _ in 0..10 {
                let middle = (low + high) / 2.0;
                match at(middle.max(1e-6)) < limit {
                    true => low = middle,
                    false => high = middle,
                }
            }
            let shown = match now.is_finite() {
                true => Span { ns: now as u64 }.to_string(),
                false => "without bound".to_string(),
            };
            all.push(Resource {
                name: "latency",
                headroom: low,
                terms: format!("{slo}: simulated {shown} at the need"),
            });
        }
        all
    }

    /// Every resource, the scarcest first.
    pub fn resources(&self, place: &Place) -> Vec<Resource> {
        let mut all = self.rates(place);
        let need = self.need;
        let m = self.measured();
        let data = need.user_bytes() * m.space;
        let needed = data * (1.0 + MERGE_SPACE) / FILL;
        all.push(Resource {
            name: "disk",
            headroom: place.disk_bytes / needed,
            terms: format!(
                "{} keys x ({} + {} B) x space {:.2} = {}, + {:.0} % for merges, / {FILL} fill = {} of {}",
                need.keys,
                need.key_size,
                need.value_size,
                m.space,
                Size { bytes: data as u64 },
                MERGE_SPACE * 100.0,
                Size {
                    bytes: needed as u64
                },
                Size {
                    bytes: place.disk_bytes as u64
                },
            ),
        });
        let filters = m.resident_per_key * need.keys as f64;
        let fixed = OTHER_BYTES + 2.0 * m.memtable_bytes + filters;
        all.push(Resource {
            name: "RAM",
            headroom: place.ram_bytes / fixed,
            terms: format!(
                "memtables 2 x {} + filters and indexes {:.1} B a key = {} + {} for the rest = {} of {}; what is left caches",
                Size {
                    bytes: m.memtable_bytes as u64
                },
                m.resident_per_key,
                Size {
                    bytes: filters as u64
                },
                Size {
                    bytes: OTHER_BYTES as u64
                },
                Size {
                    bytes: fixed as u64
                },
                Size {
                    bytes: place.ram_bytes as u64
                },
            ),
        });
        all.sort_by(|a, b| a.headroom.total_cmp(&b.headroom));
        all
    }

    /// How far the simulation is from the P99 measured in open loops, as a share; none where nothing was measured.
    pub fn error(&self) -> Option<f64> {
        let cpu_ns = self.mean(&self.demands.cpu_ns).max(1.0);
        self.seen
            .iter()
            .filter(|phase| phase.offered.is_some())
            .filter_map(|phase| {
                let op = phase.record.streams.first()?.ops.first()?;
                let found = op.response.quantiles.iter().find(|known| known.q == 0.99)?;
                let service = decode_histogram(&op.service.histogram).ok()?;
                let shards = phase.cores.saturating_sub(1).max(1);
                let hottest = hottest_shard(phase.keys, phase.theta, shards);
                let ours = response_ns(phase.rate * hottest, cpu_ns, Some(&service), 0.99);
                Some((ours / found.value_ns as f64 - 1.0).abs())
            })
            .fold(None, |worst: Option<f64>, error| {
                Some(worst.map_or(error, |worst| worst.max(error)))
            })
    }
}
