//! What a plan says of itself before it runs.

use std::fs;

use crate::explain::explain;
use crate::key::Key;
use crate::plan::{Label, Plan};
use crate::schedule::{Forecast, Schedule, Why};
use crate::store::Record;
use crate::toys::{Bench, Draw, GiveAnew, Lab, Number, diamond, give, label, sum};
use crate::view::View;

fn schedule(lab: &Lab, plan: &Plan<Bench>) -> Schedule {
    Schedule::new(plan, &View::of(plan, &lab.store).unwrap())
}

/// The forecasts of a plan's steps: `cached`, or `run` or `maybe` with the reason.
fn forecasts(lab: &Lab, plan: &Plan<Bench>) -> Vec<String> {
    let schedule = schedule(lab, plan);
    let text = |forecast: &Forecast| match forecast {
        Forecast::Cached => "cached".to_owned(),
        Forecast::Run(why) => format!("run: {why}"),
        Forecast::Maybe(why) => format!("maybe: {why}"),
    };
    schedule.steps().iter().map(|step| text(&step.forecast)).collect()
}

fn short(key: &Key<Number>) -> String {
    key.step().short()
}

#[test]
fn on_an_empty_cache_all_runs_and_nothing_can_be_cut_off() {
    let (plan, [a, ..]) = diamond(1.0);
    let input = format!("run: input a ({}) must run", short(&a));
    assert_eq!(forecasts(&Lab::new(), &plan), ["run: never run", "run: never run", &input, &input]);
}

#[test]
fn a_changed_setting_is_named_where_it_was_made_and_folded_below() {
    let lab = Lab::new();
    lab.run(&diamond(1.0).0, &Bench::default());
    let (plan, [_, _, total, _]) = diamond(1.5);
    let input = format!("maybe: input sum ({}) must run", short(&total));
    assert_eq!(forecasts(&lab, &plan), ["cached", "cached", "run: settings.factor changed: 1 -> 1.5", &input]);
}

#[test]
fn the_first_cause_is_named_however_far_away() {
    let lab = Lab::new();
    lab.run(&diamond(1.0).0, &Bench::default());
    let mut plan = Plan::<Bench>::new();
    let a = plan.add(give(1, "new note"), label("a"));
    let b = plan.add(give(2, "b"), label("b"));
    let total = plan.add(sum(&[&a, &b], 1.0), label("sum"));
    plan.add(sum(&[&total], 2.0), label("double"));
    let input = format!("maybe: input a ({}) must run", short(&a));
    assert_eq!(
        forecasts(&lab, &plan),
        ["run: settings.note changed: a -> new note", "cached", input.as_str(), input.as_str()]
    );
}

#[test]
fn a_new_stage_version_is_the_reason() {
    let lab = Lab::new();
    lab.run(&diamond(1.0).0, &Bench::default());
    let mut plan = Plan::<Bench>::new();
    plan.add(GiveAnew(give(1, "a")), label("a"));
    assert_eq!(forecasts(&lab, &plan), ["run: stage version 1 -> 2"]);
}

#[test]
fn a_value_added_to_a_sweep_was_never_run_and_a_replaced_one_changed() {
    let lab = Lab::new();
    let sweep = |values: &[i64]| {
        let mut plan = Plan::<Bench>::new();
        for &value in values {
            let cell = [("value".to_owned(), value.into())].into();
            plan.add(give(value, ""), Label { stage: "given".to_owned(), cell, ..Label::default() });
        }
        plan
    };
    lab.run(&sweep(&[1, 2]), &Bench::default());
    assert_eq!(forecasts(&lab, &sweep(&[1, 2, 3])), ["cached", "cached", "run: never run"]);
    assert_eq!(forecasts(&lab, &sweep(&[1, 3])), ["cached", "run: settings.value changed: 2 -> 3"]);
}

#[test]
fn damage_and_absent_data_are_reasons() {
    let lab = Lab::new();
    let (plan, [a, ..]) = diamond(1.0);
    lab.run(&plan, &Bench::default());
    fs::remove_file(lab.store.dir(a.step()).join("sign.txt")).unwrap();
    assert_eq!(forecasts(&lab, &plan)[..3], ["run: damaged: file sign.txt is missing", "cached", "cached"]);

    let mut plan = Plan::<Bench>::new();
    let absent = plan.add_without_data(give(1, "a"), label("a"), "no ones".to_owned());
    plan.add(sum(&[&absent], 1.0), label("sum"));
    assert_eq!(forecasts(&lab, &plan), ["run: no usable data: no ones", "run: no usable data: no ones"]);
}

#[test]
fn an_input_that_now_holds_other_bytes_is_a_reason() {
    let (lab, bench) = (Lab::new(), Bench::default());
    let mut plan = Plan::new();
    let drawn = plan.add(Draw, label("drawn"));
    let double = plan.add(sum(&[&drawn], 2.0), label("double"));
    lab.run(&plan, &bench);
    let (entry, away) = (lab.store.dir(double.step()), lab.base().join("away"));
    fs::rename(&entry, &away).unwrap();
    fs::remove_dir_all(lab.store.dir(drawn.step())).unwrap();
    bench.luck.store(5, std::sync::atomic::Ordering::Relaxed);
    lab.run(&plan, &bench);
    fs::remove_dir_all(&entry).unwrap();
    fs::rename(&away, &entry).unwrap();
    let expected = format!("run: input drawn ({}) no longer holds what this was made from", short(&drawn));
    assert_eq!(forecasts(&lab, &plan), ["cached", &expected]);
}

#[test]
fn a_step_is_estimated_by_the_most_similar_one() {
    let lab = Lab::new();
    let bench = Bench::with(|_, _| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        Ok(())
    });
    lab.run(&diamond(1.0).0, &bench);
    let (mut plan, [_, _, total, _]) = diamond(3.0);
    plan.add(Draw, label("draw"));
    let schedule = schedule(&lab, &plan);
    let estimate = |index: usize| schedule.steps()[index].estimate.map(|estimate| estimate.seconds);
    assert_eq!(estimate(0), None);
    assert!(estimate(2).is_some_and(|seconds| (0.02..5.0).contains(&seconds)), "{:?} {total:?}", estimate(2));
    assert_eq!(estimate(4), None);
}

#[test]
fn explaining_shows_the_nearest_step_and_what_differs() {
    let lab = Lab::new();
    let (before, [.., double]) = diamond(1.0);
    lab.run(&before, &Bench::default());
    let (plan, [_, _, total, _]) = diamond(4.0);
    let view = View::of(&plan, &lab.store).unwrap();
    let schedule = Schedule::new(&plan, &view);
    let explain =
        |key: &Key<Number>| explain(&plan, plan.find(key.step()).unwrap(), &view, &schedule, &lab.store).unwrap();
    let explanation = explain(&total);
    assert_eq!(explanation.key.as_ref(), Some(total.step()));
    assert!(explanation.record.is_none());
    let nearest = explanation.nearest.unwrap();
    assert_eq!(nearest.record.labels, [label("sum")]);
    let changes: Vec<String> = nearest.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["settings.factor changed: 1 -> 4"]);
    assert!(plan.find(double.step()).is_none());
}

/// A sweep of 5,000 pairs, the second of each depending on the first, at settings that hang on `edit`.
fn wide(edit: i64) -> (Plan<Bench>, Vec<Record>) {
    let mut plan = Plan::<Bench>::new();
    for value in 0..5_000 {
        let given = plan.add(give(value, &format!("edit {edit}")), label(&format!("give {value}")));
        plan.add(sum(&[&given], edit as f64), label(&format!("sum {value}")));
    }
    let mut records: Vec<Record> = Vec::new();
    for (id, step) in plan.steps() {
        let inputs = plan.inputs(id).map(|input| &records[input.index()]);
        let inputs = inputs.map(|record| (record.key.clone(), record.content)).collect();
        records.push(crate::store::record_of(step.manifest().clone(), inputs, step.label().clone()));
    }
    (plan, records)
}

#[test]
fn ten_thousand_edited_steps_each_find_what_they_were() {
    let (_, past) = wide(1);
    let (plan, _) = wide(2);
    let schedule = Schedule::new(&plan, &View::from_records(past));
    assert_eq!(schedule.to_run(), 10_000);
    for (id, _) in plan.steps() {
        let why = schedule.step(id).forecast.why().unwrap();
        match why {
            Why::Changed { changes, .. } => {
                assert_eq!(changes.len(), 1);
                // That an input was edited, too, hides nothing.
                let is_sum = plan.inputs(id).len() > 0;
                let expected = if is_sum { "factor changed: 1 -> 2" } else { "note changed: edit 1 -> edit 2" };
                assert_eq!(changes[0].to_string(), format!("settings.{expected}"));
            }
            other => panic!("{other}"),
        }
    }
    let (same, present) = wide(2);
    assert_eq!(Schedule::new(&same, &View::from_records(present)).cached(), 10_000);
}
