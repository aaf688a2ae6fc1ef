//! `perf calibrate`: how different the same binary looks from itself here.

use std::collections::BTreeMap;
use std::path::Path;

use ringkeep_bench::report::table::Table;

use crate::cli::CalibrateArgs;
use crate::exit::{Code, Fault};
use crate::filter::Filter;
use crate::gate::{Samples, growth};
use crate::measure::{Pairing, Subject, times};
use crate::metric::threshold;
use crate::report::write;
use crate::statistics::median;

/// Noise of each metric, as a share.
pub type Floors = BTreeMap<String, f64>;

/// Runs the command.
pub fn calibrate(arguments: &CalibrateArgs) -> Result<Code, Fault> {
    let filter = Filter::new(&arguments.filter)?;
    let subject = Subject::at(None)?;
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for repeat in 0..arguments.repeat {
        let pairing = Pairing {
            pairs: arguments.pairs,
            seed: repeat,
        };
        for samples in times(&subject, &subject, &filter, &pairing)? {
            let change = median(&growth(&samples.pairs)).abs();
            found.entry(samples.metric).or_default().push(change);
        }
    }
    let mut table = Table::new(["metric", "typical", "worst", "allowed", "can be judged"]);
    let mut floors = Floors::new();
    for (metric, changes) in &found {
        // The worst of a handful is the honest 95th percentile of them.
        let worst = changes.iter().copied().fold(0.0, f64::max);
        let allowed = threshold(metric.split_once('/').map_or("", |(_, name)| name));
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        table.row(vec![
            metric.clone(),
            percent(median(changes)),
            percent(worst),
            percent(allowed),
            if worst <= allowed / 2.0 { "yes" } else { "no" }.to_owned(),
        ]);
        floors.insert(metric.clone(), worst);
    }
    print!("{}", table.text(""));
    if let Some(path) = &arguments.out {
        let text = serde_json::to_string_pretty(&floors).map_err(Fault::internal)?;
        write(path, &(text + "\n"))?;
    }
    Ok(Code::Pass)
}

/// Adds what calibration found to samples.
pub fn apply(path: &Path, samples: &mut [Samples]) -> Result<(), Fault> {
    let cannot = |why: String| Fault::usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    let floors: Floors = serde_json::from_str(&text).map_err(|error| cannot(error.to_string()))?;
    for sample in samples {
        sample.calibrated = floors.get(&sample.metric).copied();
    }
    Ok(())
}
