//! Right answers, and nothing lost after a kill or a close, with the options that are measured.

use ringkeep_bench::data_dir::DataDir;
use ringkeep_bench::prove::prove;

#[test]
fn answers_are_right_and_nothing_is_lost() {
    let dir = DataDir::temporary().unwrap();
    prove(&ringkeep_target_fjall::FJALL, dir.path()).unwrap();
}
