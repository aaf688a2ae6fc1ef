//! The published schema of report.json against a report that has every part. The validator knows the words that
//! the schema uses and refuses others, so that no rule of it goes unchecked.

use ringkeep_bench::curve::search::Answer;
use ringkeep_bench::curve::{Curve, Knob, Outcome, Point, Scaling};
use ringkeep_bench::environment::DeviceProbe;
use ringkeep_bench::report::SCHEMA_VERSION;
use serde_json::{Map, Value, json};

use crate::reports::run;

const SCHEMA: &str = include_str!("../../../docs/report.schema.json");

struct Schema(Value);

impl Schema {
    fn read() -> Schema {
        Schema(serde_json::from_str(SCHEMA).expect("the schema is JSON"))
    }

    /// What `value` breaks first, with where.
    fn check(&self, value: &Value) -> Result<(), String> {
        self.check_against(self.0.as_object().unwrap(), value, "report")
    }

    fn check_against(
        &self,
        rule: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        for (word, wanted) in rule {
            let fault = |what: &str| Err(format!("{at}: {what}, is {value}"));
            match word.as_str() {
                "$schema" | "$defs" | "title" | "description" => {}
                "$ref" => {
                    let name = wanted.as_str().unwrap().trim_start_matches("#/$defs/");
                    let rule = self.0["$defs"][name].as_object();
                    let rule = rule.ok_or_else(|| format!("{at}: no definition of {name}"))?;
                    self.check_against(rule, value, at)?;
                }
                "const" if value != wanted => return fault(&format!("must be {wanted}")),
                "enum" if !wanted.as_array().unwrap().contains(value) => {
                    return fault(&format!("must be one of {wanted}"));
                }
                "const" | "enum" => {}
                "type" if !is_a(wanted.as_str().unwrap(), value) => {
                    return fault(&format!("must be a {wanted}"));
                }
                "minimum" if value.as_f64() < wanted.as_f64() && value.is_number() => {
                    return fault("is too small");
                }
                "type" | "minimum" => {}
                "minItems" | "maxItems" => {
                    let fixed = rule["minItems"].as_u64().unwrap() as usize;
                    if value.as_array().is_some_and(|items| items.len() != fixed) {
                        return fault(&format!("must have {fixed} items"));
                    }
                }
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check_against(
                            wanted.as_object().unwrap(),
                            item,
                            &format!("{at}[{i}]"),
                        )?;
                    }
                }
                "required" => {
                    for name in wanted.as_array().unwrap() {
                        if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                            return fault(&format!("lacks {name}"));
                        }
                    }
                }
                "properties" | "additionalProperties" => {
                    let known = rule.get("properties").and_then(Value::as_object);
                    for (name, inner) in value.as_object().into_iter().flatten() {
                        let place = format!("{at}.{name}");
                        match known.and_then(|known| known.get(name)) {
                            Some(rule) => {
                                self.check_against(rule.as_object().unwrap(), inner, &place)?
                            }
                            None => match rule["additionalProperties"].as_object() {
                                Some(rule) => self.check_against(rule, inner, &place)?,
                                None => return Err(format!("{place}: is not in the schema")),
                            },
                        }
                    }
                }
                "anyOf" | "oneOf" => {
                    let ways = wanted.as_array().unwrap();
                    let faults: Vec<String> = ways
                        .iter()
                        .filter_map(|way| {
                            self.check_against(way.as_object().unwrap(), value, at)
                                .err()
                        })
                        .collect();
                    if faults.len() == ways.len()
                        || word == "oneOf" && faults.len() + 1 < ways.len()
                    {
                        return Err(format!("{at}: fits no one way: {}", faults.join("; ")));
                    }
                }
                other => return Err(format!("the validator does not know `{other}`")),
            }
        }
        Ok(())
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the validator does not know the type `{other}`"),
    }
}

/// A report of two targets with everything in it that is only there at times.
fn full() -> Value {
    let (mut report, _) = run(2);
    let point = |load: f64| Point {
        load,
        achieved_per_s: load,
        mean_ns: 1e6,
        quantiles_ns: [Some(1), Some(2), None],
        service_p99_ns: Some(2),
        outcome: Outcome::Passed,
        reasons: vec!["a reason".to_string()],
    };
    let mut curve = Curve::new("w", "t", Knob::Clients, vec![point(1.0), point(2.0)]);
    curve.scaling = Some(Scaling {
        lambda: 1.0,
        sigma: 0.1,
        kappa: 0.0,
    });
    curve.answer = Some(Answer {
        per_s: Some(1.0),
        lo_per_s: 0.9,
        hi_per_s: 1.1,
        confidence: 0.95,
        probes: 17,
        misclassified: 0,
        generator_limited: false,
    });
    report.curves.push(curve);
    report.environment.probe = Some(DeviceProbe::default());
    for result in &mut report.results[..1] {
        result.target.name = "first".to_string();
    }
    serde_json::from_str(&report.to_json()).unwrap()
}

#[test]
fn a_report_is_what_the_schema_says() {
    let schema = Schema::read();
    assert_eq!(
        schema.0["properties"]["schema_version"]["const"],
        json!(SCHEMA_VERSION)
    );
    let report = full();
    assert!(!report["comparison"].as_array().unwrap().is_empty());
    schema.check(&report).unwrap();
}

#[test]
fn what_the_schema_does_not_say_is_found() {
    let schema = Schema::read();
    let report = full();
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut report = report.clone();
        change(&mut report);
        schema.check(&report).unwrap_err()
    };
    let phase = |report: &mut Value| report["results"][0]["phases"][0].take();
    let fault = broken(&|report| report["environment"]["moon"] = json!("full"));
    assert_eq!(fault, "report.environment.moon: is not in the schema");
    let fault = broken(&|report| {
        phase(report);
    });
    assert!(fault.contains("phases[0]: must be a \"object\""), "{fault}");
    let fault = broken(&|report| report["results"][0]["phases"][0]["verdict"] = json!("fine"));
    assert!(fault.contains("must be one of"), "{fault}");
    let fault = broken(&|report| report["schema_version"] = json!(2));
    assert!(fault.contains("must be 1"), "{fault}");
    let fault = broken(&|report| {
        report["run"].as_object_mut().unwrap().remove("drivers");
    });
    assert!(fault.contains("lacks \"drivers\""), "{fault}");
}
