//! `perf scenario`: the child's side. Prints an outcome, or the list of scenarios, as JSON.

use ringkeep_scenarios::{Clocks, SCENARIOS, Scenario};
use serde_json::json;

use crate::cli::ScenarioArgs;
use crate::exit::{Code, Fault};

/// Runs the command.
pub fn scenario(arguments: &ScenarioArgs) -> Result<Code, Fault> {
    let Some(name) = &arguments.name else {
        let list = SCENARIOS.iter().map(|scenario| {
            json!({
                "name": scenario.name,
                "operation": scenario.operation,
                "ops": scenario.ops,
            })
        });
        println!("{}", list.collect::<serde_json::Value>());
        return Ok(Code::Pass);
    };
    let scenario = Scenario::named(name).ok_or_else(|| {
        Fault::usage(format!(
            "no scenario is called {name}; `perf scenario` lists them"
        ))
    })?;
    let clocks = match arguments.no_clocks {
        true => Clocks::Stopped,
        false => Clocks::Running,
    };
    let outcome = scenario.run(arguments.ops.unwrap_or(scenario.ops), clocks);
    println!(
        "{}",
        serde_json::to_string(&outcome).map_err(Fault::internal)?
    );
    Ok(Code::Pass)
}
