//! Which jobs there is work for, and which of them must wait for others. Pure.
//!
//! Steps fall into phases: a step is of a later phase than its inputs where another group of workers makes these. Workers of
//! a later phase depend on the jobs of the phases before, so that none of them holds a node only to wait.

use std::collections::{BTreeMap, BTreeSet};

/// A step that is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Which group of workers takes it.
    pub group: usize,
    /// The places of its inputs among those that are to run; lower than its own.
    pub inputs: Vec<usize>,
    /// How long it takes, where that is known.
    pub seconds: Option<f64>,
}

/// An array of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// The group.
    pub group: usize,
    /// How many.
    pub workers: usize,
    /// The places of the waves that must have ended before.
    pub after: Vec<usize>,
}

/// Work that is worth a job of its own, in seconds: less than that is done sooner by a worker that is there already.
const WORTH: f64 = 60.0;

/// The waves for some steps, at most `most` workers at a time in each phase, and at least one for each group that has work.
#[must_use]
pub fn waves(tasks: &[Task], most: usize) -> Vec<Wave> {
    let mut phases = Vec::with_capacity(tasks.len());
    let mut depths = Vec::with_capacity(tasks.len());
    // Of each phase and group: steps at each depth, their seconds, and which phases and groups they come after.
    let mut needs: BTreeMap<(usize, usize), Need> = BTreeMap::new();
    for task in tasks {
        let of_others = |&&input: &&usize| tasks[input].group != task.group;
        let inside = task.inputs.iter().filter(|input| !of_others(input)).map(|&input| phases[input]);
        let across = task.inputs.iter().filter(of_others).map(|&input| phases[input] + 1);
        let phase: usize = inside.chain(across).max().unwrap_or(0);
        let same = |&&input: &&usize| tasks[input].group == task.group && phases[input] == phase;
        let depth: usize = task.inputs.iter().filter(same).map(|&input| depths[input] + 1).max().unwrap_or(0);
        let need = needs.entry((phase, task.group)).or_default();
        *need.at_depth.entry(depth).or_default() += 1;
        need.seconds = need.seconds.zip(task.seconds).map(|(all, one)| all + one);
        let before = task.inputs.iter().map(|&input| (phases[input], tasks[input].group));
        need.after.extend(before.filter(|before| *before != (phase, task.group)));
        phases.push(phase);
        depths.push(depth);
    }
    let places: BTreeMap<(usize, usize), usize> = needs.keys().enumerate().map(|(place, &key)| (key, place)).collect();
    let mut waves: Vec<Wave> = needs
        .iter()
        .map(|(&(_, group), need)| Wave {
            group,
            workers: need.workers(),
            after: need.after.iter().map(|before| places[before]).collect(),
        })
        .collect();
    for phase in 0..=phases.iter().copied().max().unwrap_or(0) {
        let here: Vec<usize> =
            needs.keys().enumerate().filter(|(_, key)| key.0 == phase).map(|(place, _)| place).collect();
        while here.iter().map(|&place| waves[place].workers).sum::<usize>() > most.max(here.len()) {
            // The largest gives way, the last of equals first.
            if let Some(&largest) = here.iter().max_by_key(|&&place| (waves[place].workers, place)) {
                waves[largest].workers -= 1;
            }
        }
    }
    waves
}

#[derive(Debug)]
struct Need {
    at_depth: BTreeMap<usize, usize>,
    seconds: Option<f64>,
    after: BTreeSet<(usize, usize)>,
}

impl Default for Need {
    fn default() -> Self {
        Self { at_depth: BTreeMap::new(), seconds: Some(0.0), after: BTreeSet::new() }
    }
}

impl Need {
    /// As many as can work side by side, and no more than have something worth a job to do.
    fn workers(&self) -> usize {
        let side_by_side = self.at_depth.values().copied().max().unwrap_or(0);
        #[expect(clippy::cast_sign_loss, reason = "times are not negative")]
        let worth = self.seconds.map_or(usize::MAX, |seconds| (seconds / WORTH).ceil() as usize);
        side_by_side.min(worth).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(group: usize, inputs: &[usize]) -> Task {
        Task { group, inputs: inputs.to_vec(), seconds: None }
    }

    #[test]
    fn there_are_as_many_workers_as_steps_side_by_side_up_to_the_most() {
        // A training, eight selections of it, what is masked by them.
        let mut tasks = vec![task(0, &[])];
        tasks.extend((0..8).map(|_| task(0, &[0])));
        tasks.push(task(0, &[1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(waves(&tasks, 16), [Wave { group: 0, workers: 8, after: vec![] }]);
        assert_eq!(waves(&tasks, 3)[0].workers, 3);
        assert!(waves(&[], 3).is_empty());
    }

    #[test]
    fn workers_of_another_group_wait_for_the_jobs_that_make_their_inputs() {
        let mut tasks = vec![task(1, &[]), task(1, &[])];
        tasks.extend((0..4).map(|_| task(0, &[0])));
        tasks.push(task(1, &[2, 3]));
        let expected = [
            Wave { group: 1, workers: 2, after: vec![] },
            Wave { group: 0, workers: 4, after: vec![0] },
            Wave { group: 1, workers: 1, after: vec![1] },
        ];
        assert_eq!(waves(&tasks, 16), expected);
    }

    #[test]
    fn what_is_done_in_a_minute_is_worth_one_worker() {
        let tasks = vec![Task { seconds: Some(1.0), ..task(0, &[]) }; 50];
        assert_eq!(waves(&tasks, 16)[0].workers, 1);
        let tasks = vec![Task { seconds: Some(30.0), ..task(0, &[]) }; 6];
        assert_eq!(waves(&tasks, 16)[0].workers, 3);
    }

    #[test]
    fn groups_of_a_phase_share_the_most() {
        let tasks: Vec<Task> = (0..30).map(|number| task(usize::from(number < 10), &[])).collect();
        let workers: Vec<usize> = waves(&tasks, 12).iter().map(|wave| wave.workers).collect();
        assert_eq!(workers.iter().sum::<usize>(), 12);
        assert!(workers.iter().all(|&workers| workers > 0));
        assert_eq!(waves(&tasks, 1).iter().map(|wave| wave.workers).collect::<Vec<_>>(), [1, 1]);
    }
}
