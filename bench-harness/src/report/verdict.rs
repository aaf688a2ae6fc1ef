//! Objectives held against what was found, and whether what was found may be used at all.

use super::{ClockRecord, SloRecord, StreamRecord, Verdict};
use crate::phase::PhaseOutcome;
use crate::quantity::{Rate, Span};
use crate::slo::{ClockName, Metric, Relation, Slo, Statistic};
use crate::steady::Steady;
use crate::workload::Phase;

/// Below this share of the offered rate an open load has not been achieved.
const ACHIEVED_MIN: f64 = 0.98;
/// Own lateness that can explain it.
const LATE_NS: u64 = 1_000_000;
/// Above this share of the driver CPU the generator sets the pace of a saturated phase.
const GENERATOR_SHARE_MAX: f64 = 0.5;

/// What was found for one objective. The streams are searched in order, so the headline answers first.
pub(super) fn slo_record(slo: &Slo, streams: &[StreamRecord]) -> SloRecord {
    let head = &streams[0];
    let (found, text) = match slo.metric {
        Metric::Throughput => {
            let per_s = head.achieved_per_s;
            (Some(per_s), Rate { per_s }.to_string())
        }
        Metric::Achieved => match head.offered_per_s {
            Some(offered) => {
                let ratio = head.achieved_per_s / offered;
                (Some(ratio), format!("{ratio:.3}"))
            }
            // A closed loop achieves what it offers.
            None => (Some(1.0), "1 (closed loop)".to_string()),
        },
        Metric::Errors => {
            let errors: u64 = streams
                .iter()
                .flat_map(|s| &s.ops)
                .map(|op| op.errors)
                .sum();
            (Some(errors as f64), errors.to_string())
        }
        Metric::Latency(kind, clock, statistic) => {
            let op = streams
                .iter()
                .flat_map(|s| &s.ops)
                .find(|op| op.op == kind.name() && op.count > 0);
            match op {
                None => (None, format!("no {} in this phase", kind.name())),
                Some(op) => latency(op.clock(clock), statistic, slo.relation),
            }
        }
    };
    SloRecord {
        slo: slo.to_string(),
        found,
        found_text: text,
        met: found.is_some_and(|value| slo.relation.holds(value, slo.limit)),
    }
}

fn latency(clock: &ClockRecord, statistic: Statistic, relation: Relation) -> (Option<f64>, String) {
    let shown = |ns: f64| Span { ns: ns as u64 }.to_string();
    match statistic {
        Statistic::Mean => (Some(clock.mean_ns), shown(clock.mean_ns)),
        Statistic::Max => (Some(clock.max_ns as f64), shown(clock.max_ns as f64)),
        Statistic::Quantile(q) => {
            let needed = super::samples_needed(q);
            if clock.count < needed {
                return (None, format!("needs {} more samples", needed - clock.count));
            }
            let value = match clock
                .quantiles
                .iter()
                .find(|known| (known.q - q).abs() < 1e-9)
            {
                // The cautious end of the interval, when the objective is an upper limit.
                Some(known) if matches!(relation, Relation::Below | Relation::AtMost) => {
                    return (
                        Some(known.hi_ns as f64),
                        format!(
                            "{} (up to {})",
                            shown(known.value_ns as f64),
                            shown(known.hi_ns as f64)
                        ),
                    );
                }
                Some(known) => known.value_ns,
                None => match super::decode_histogram(&clock.histogram) {
                    Ok(histogram) => histogram.value_at_quantile(q),
                    Err(_) => return (None, "no histogram".to_string()),
                },
            };
            (Some(value as f64), shown(value as f64))
        }
    }
}

/// May the numbers of the phase be used? Adds to `notes` what a reader has to know.
pub(super) fn judge(
    phase: &Phase,
    outcome: &PhaseOutcome,
    streams: &[StreamRecord],
    slo: &[SloRecord],
    measures_generator: bool,
    notes: &mut Vec<String>,
) -> Verdict {
    let mut verdict = Verdict::Valid;
    if outcome.steady == Steady::No {
        notes.push(
            "not steady when the measurement began: the longest warm-up ended first".to_string(),
        );
    }
    for stream in streams {
        for message in &stream.messages {
            notes.push(format!("{}: {message}", stream.name));
        }
        let unanswered: u64 = stream.ops.iter().map(|op| op.given_up).sum();
        if unanswered > 0 {
            notes.push(format!(
                "{}: {unanswered} operations had no answer when the phase gave up; their times are lower bounds",
                stream.name
            ));
        }
        if stream.dropped > 0 {
            notes.push(format!(
                "{}: {} operations dropped at the in-flight limit",
                stream.name, stream.dropped
            ));
        }
        if !measures_generator && let Some(why) = generator_limit(stream, phase, slo) {
            notes.push(format!("{}: {why}", stream.name));
            verdict = Verdict::GeneratorLimited;
        }
    }
    if outcome.interrupted {
        verdict = Verdict::Interrupted;
    }
    if streams.iter().any(|stream| stream.wrong > 0) {
        verdict = Verdict::WrongAnswers;
    }
    verdict
}

/// Did the generator, and not the target, set the pace of `stream`?
fn generator_limit(stream: &StreamRecord, phase: &Phase, slo: &[SloRecord]) -> Option<String> {
    let operations: u64 = stream.ops.iter().map(|op| op.count).sum();
    let late = Span {
        ns: stream.own_slip_p99_ns,
    };
    if let Some(offered) = stream.offered_per_s {
        // With the limit reached, or time spent inside the target's calls, the target is what is slow.
        let slots_were_free = stream.held_by_limit * 100 < operations;
        let behind = stream.achieved_per_s < ACHIEVED_MIN * offered;
        if behind && slots_were_free && late.ns > LATE_NS {
            return Some(format!(
                "limited by the generator: {} of {} offered while slots were free, own slip P99 {late}",
                Rate {
                    per_s: stream.achieved_per_s
                },
                Rate { per_s: offered }
            ));
        }
    } else if stream.generator_share > GENERATOR_SHARE_MAX && !stream.shows_response {
        return Some(format!(
            "limited by the generator: it takes {:.0} % of the driver threads' CPU",
            stream.generator_share * 100.0
        ));
    }
    let spoilt = phase.slo.iter().zip(slo).any(|(slo, record)| {
        let response = matches!(slo.metric, Metric::Latency(_, ClockName::Response, _));
        response && !record.met && record.found.is_some() && late.ns as f64 > slo.limit / 2.0
    });
    (spoilt && stream.shows_response).then(|| {
        format!(
            "limited by the generator: its own slip P99 of {late} is most of the missed objective"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Length;
    use crate::recorder::histogram;
    use crate::report::{OpRecord, quantiles::clock_record};
    use crate::workload::Warmup;

    fn phase(slo: &[&str]) -> Phase {
        Phase {
            name: "paced".to_string(),
            warmup: Warmup {
                min: Span::default(),
                max: Span::default(),
            },
            length: Length::Time(Span::secs(1)),
            traffic: Vec::new(),
            slo: slo.iter().map(|text| text.parse().unwrap()).collect(),
            shows_response: true,
            settles: true,
            holds_snapshot: false,
        }
    }

    fn stream(offered_per_s: Option<f64>, achieved_per_s: f64) -> StreamRecord {
        let mut latencies = histogram();
        (0..20_000).for_each(|i| latencies.record(i * 1_000).unwrap());
        let clock = clock_record(&latencies, [&latencies]);
        StreamRecord {
            name: "paced".to_string(),
            drive: "pipelined x1".to_string(),
            offered_per_s,
            achieved_per_s,
            in_flight_max: 10,
            held_by_limit: 0,
            dropped: 0,
            never_issued: 0,
            wrong: 0,
            messages: Vec::new(),
            generator_cpu_ns: 100.0,
            generator_share: 0.1,
            own_slip_p99_ns: 0,
            shows_response: true,
            ops: vec![OpRecord {
                op: "get".to_string(),
                count: latencies.len(),
                per_s: achieved_per_s,
                errors: 0,
                given_up: 0,
                rows: 0,
                bytes: 0,
                absent: 0,
                response: clock.clone(),
                service: clock.clone(),
                slip: clock,
            }],
            intervals: Vec::new(),
        }
    }

    fn limit(stream: StreamRecord, slo: &[&str]) -> Option<String> {
        let phase = phase(slo);
        let streams = [stream];
        let records: Vec<SloRecord> = phase
            .slo
            .iter()
            .map(|slo| slo_record(slo, &streams))
            .collect();
        generator_limit(&streams[0], &phase, &records)
    }

    #[test]
    fn a_generator_that_falls_behind_is_to_blame_only_if_slots_were_free() {
        let late = StreamRecord {
            own_slip_p99_ns: 5_000_000,
            ..stream(Some(1_000.0), 900.0)
        };
        assert!(
            limit(late.clone(), &[])
                .unwrap()
                .contains("900/s of 1k/s offered")
        );
        let full = StreamRecord {
            held_by_limit: 10_000,
            ..late.clone()
        };
        assert_eq!(limit(full, &[]), None);
        let punctual = StreamRecord {
            own_slip_p99_ns: 0,
            ..late
        };
        assert_eq!(
            limit(punctual, &[]),
            None,
            "a slow target is not the generator's fault"
        );
    }

    #[test]
    fn an_objective_missed_by_the_generators_own_lateness_is_no_verdict_on_the_target() {
        let late = StreamRecord {
            own_slip_p99_ns: 15_000_000,
            ..stream(Some(1_000.0), 1_000.0)
        };
        let missed = ["get.p99 < 10ms"];
        assert!(
            limit(late.clone(), &missed)
                .unwrap()
                .contains("own slip P99 of 15ms")
        );
        assert_eq!(
            limit(late, &["get.p99 < 1s"]),
            None,
            "an objective that is met anyway stands"
        );
        assert_eq!(limit(stream(Some(1_000.0), 1_000.0), &missed), None);
    }

    #[test]
    fn saturation_must_saturate_the_target() {
        let cheap = StreamRecord {
            generator_share: 0.8,
            shows_response: false,
            ..stream(None, 1e6)
        };
        assert!(limit(cheap.clone(), &[]).unwrap().contains("80 %"));
        let one_client = StreamRecord {
            shows_response: true,
            ..cheap
        };
        assert_eq!(
            limit(one_client, &[]),
            None,
            "one client's latency is its own measure"
        );
    }
}
