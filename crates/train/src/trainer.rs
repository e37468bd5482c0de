//! The training loop: epochs of steps, an evaluation after each, and a checkpoint that resumes bit for bit.

use crate::average::Average;
use crate::backward::Backward;
use crate::checkpoint::{self, Best, TrainerState};
use crate::error::{Result, TrainError};
use crate::events::{EvaluationEvent, Event, EventLog, StepEvent};
use crate::facts::Facts;
use crate::mixing;
use crate::optimizer::{self, Gradients, Optimizer, add};
use crate::plan::Plan;
use crate::pretrained;
use crate::quarantine::Quarantine;
use crate::score::Scoring;
use crate::search;
use burn::module::Module;
use burn::tensor::Device;
use rayon::prelude::*;
use sensorium_data::random::Key;
use sensorium_data::shards::Shuffle;
use sensorium_data::{Batch, Draw, Loader, Prepared, Sampler};
use sensorium_kernels::gradient_norm;
use sensorium_model::checkpoint::{from_host, load, save};
use sensorium_model::tasks::TaskConfig;
use sensorium_model::{Model, Part, RunDirectory, absorb_statistics, on_compute_threads};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How a sitting of training ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With the reason, for people.
    Finished(String),
    /// The state is saved; `--resume` goes on from it.
    Interrupted,
}

/// A run in training.
pub struct Trainer {
    plan: Plan,
    run: RunDirectory,
    model: Model,
    /// Of the model's outputs.
    parts: Vec<Part>,
    /// The parameters that are not trained; a normalisation among them takes no statistics.
    frozen: BTreeSet<String>,
    optimizer: Optimizer,
    average: Option<Average>,
    state: TrainerState,
    sampler: Sampler,
    quarantine: Quarantine,
    started: Instant,
    /// The state's seconds when this sitting began.
    seconds_before: f64,
}

impl Trainer {
    /// Starts at the newest valid checkpoint of `run`, or at the beginning where there is none.
    pub fn new(plan: Plan, run: RunDirectory, device: &Device) -> Result<Self> {
        let device = device.clone().autodiff();
        let mut model = Model::new(&plan.description.model, &plan.shapes(), plan.recipe.seed, &device)?;
        let before = checkpoint::newest(&run)?;
        // What is held in few bits stands in no checkpoint.
        if before.is_none() || plan.description.model.holds() {
            model = pretrained::fill(&plan.recipe, model)?;
        }
        model = pretrained::freeze(&plan.recipe, pretrained::hold(&plan, model, &device))?;
        let training = &plan.recipe.training;
        let rates = optimizer::rates(&plan.recipe, &model);
        let mut optimizer = Optimizer::new(training.optimizer.clone(), &model).with_rates(rates);
        let mut average = training.average.map(|decay| Average::new(decay, &model));
        let mut state = TrainerState::default();
        if let Some(folder) = before {
            state = checkpoint::read_state(&folder)?;
            model = checkpoint::restore(&folder, model, &mut optimizer, &device)?;
            if let Some(average) = &mut average {
                checkpoint::restore_average(&folder, average)?;
            }
        }
        let sampler = Sampler::new(&plan.dataset, &plan.splits.train, training.batch_size)
            .at_most(training.rows_per_medium)
            .mixed(plan.mix.clone());
        let sampler = match training.bucket_by_length {
            Some(true) => sampler.by_length(&plan.dataset),
            _ => sampler,
        };
        let mut quarantine = Quarantine::new(plan.rows(), plan.recipe.data.failure_budget);
        let within = quarantine.add(plan.broken.iter().cloned());
        quarantine.write(&run.quarantine())?;
        within?;
        let seconds_before = state.seconds;
        let started = Instant::now();
        Ok(Self {
            plan,
            run,
            parts: model.parts(),
            frozen: frozen(&model),
            model,
            optimizer,
            average,
            state,
            sampler,
            quarantine,
            started,
            seconds_before,
        })
    }

    pub fn state(&self) -> &TrainerState {
        &self.state
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Steps that training takes at the most.
    pub fn total_steps(&self) -> u64 {
        let training = &self.plan.recipe.training;
        let steps = self.batch_count().div_ceil(training.accumulate) as u64;
        (steps * training.max_epochs).min(training.max_steps.unwrap_or(u64::MAX))
    }

    /// Trains until a limit or a stop rule is met, or until `interrupt` is set.
    pub fn run(&mut self, interrupt: &AtomicBool, observe: &mut dyn FnMut(&Event)) -> Result<Outcome> {
        if let Some(reason) = &self.state.finished {
            return Ok(Outcome::Finished(reason.clone()));
        }
        let mut log = EventLog::open(&self.run, self.state.step)?;
        let mut emit = |event: Event| {
            observe(&event);
            log.write(&event)
        };
        let result = self.epochs(interrupt, &mut emit);
        self.quarantine.write(&self.run.quarantine())?;
        result
    }

    fn epochs(&mut self, interrupt: &AtomicBool, emit: &mut dyn FnMut(Event) -> Result<()>) -> Result<Outcome> {
        loop {
            if !self.epoch(interrupt, emit)? || !self.evaluate(interrupt, emit)? {
                self.save()?;
                return Ok(Outcome::Interrupted);
            }
            if self.state.finished.is_some() {
                self.choose_searches(emit)?;
            }
            self.save()?;
            if let Some(reason) = &self.state.finished {
                return Ok(Outcome::Finished(reason.clone()));
            }
        }
    }

    /// Chooses how the finished model searches for transcripts.
    fn choose_searches(&mut self, emit: &mut dyn FnMut(Event) -> Result<()>) -> Result<()> {
        let open = search::open(&self.plan);
        if open.is_empty() {
            return Ok(());
        }
        let path = self.run.weights();
        let device = self.model.devices().swap_remove(0).without_autodiff();
        let model = from_host(pretrained::blank(&self.plan, &device)?, load(&path)?, &path)?;
        for choice in search::choose(&self.plan, &open, model, self.state.step) {
            let output = self.plan.description.model.outputs.get_mut(&choice.output);
            if let Some(TaskConfig::Transcribe(task)) = output.map(|output| &mut output.task) {
                task.beam.language_model_weight = Some(choice.language_model_weight);
                task.beam.insertion_bonus = Some(choice.insertion_bonus);
            }
            emit(Event::Search(choice))?;
        }
        Ok(self.plan.description.save(&self.run)?)
    }

    fn save(&mut self) -> Result<()> {
        self.state.seconds = self.seconds();
        Facts::new(&self.plan, &self.state, self.parameter_count()).save(&self.run)?;
        let average = self.average.as_ref();
        checkpoint::save(&self.run, &self.state, &self.model, &self.optimizer, average)
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    /// The rest of the epoch under way; false when interrupted.
    fn epoch(&mut self, interrupt: &AtomicBool, emit: &mut dyn FnMut(Event) -> Result<()>) -> Result<bool> {
        let training = self.plan.recipe.training.clone();
        let count = self.batch_count() - self.state.batch;
        let mut loader = self.loader()?;
        let mut taken = 0;
        while taken < count && self.limit().is_none() {
            let group = training.accumulate.min(count - taken);
            taken += group;
            let event = on_compute_threads(|| self.step(&mut loader, group))?;
            emit(Event::Step(event))?;
            if interrupt.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let due = |every: u64| self.state.step.is_multiple_of(every);
            if training.checkpoint_every_steps.is_some_and(due) {
                self.save()?;
            }
        }
        Ok(true)
    }

    /// Batches of an epoch.
    fn batch_count(&self) -> usize {
        match self.plan.stream {
            Some(_) => self.plan.train_rows.div_ceil(self.plan.recipe.training.batch_size),
            None => self.sampler.batch_count(),
        }
    }

    /// The batches that are left of the epoch under way.
    fn loader(&self) -> Result<Loader> {
        let (recipe, epoch) = (&self.plan.recipe, self.state.epoch);
        let key = Key::new(recipe.seed).with("epoch");
        let draw = Some(Draw {
            key: key.at(epoch),
            modality_dropout: recipe.training.modality_dropout,
            mixing: mixing::of(recipe),
        });
        let (dataset, threads) = (&self.plan.dataset, recipe.data.loader_threads);
        if let Some(stream) = &self.plan.stream {
            let (shuffle, position) = (Shuffle::new(recipe.seed, epoch), self.state.position.clone());
            let portions = stream.portions(shuffle, position, recipe.training.batch_size)?;
            return Ok(Loader::streaming(dataset, portions, draw, threads));
        }
        let batches = self.sampler.epoch(&key, epoch).split_off(self.state.batch);
        Ok(Loader::new(dataset, batches, draw, threads))
    }

    /// The limit that has been reached, inside an epoch or at its end.
    fn limit(&self) -> Option<String> {
        let training = &self.plan.recipe.training;
        if training.max_steps.is_some_and(|limit| self.state.step >= limit) {
            return Some(format!("max_steps = {} is reached", self.state.step));
        }
        let minutes = self.seconds() / 60.0;
        let over = training.max_minutes.filter(|limit| minutes >= *limit);
        over.map(|limit| format!("max_minutes = {limit} is reached"))
    }

    /// One step of the optimiser over `group` batches. Nothing changes when the loss or a gradient is not finite.
    fn step(&mut self, loader: &mut Loader, group: usize) -> Result<StepEvent> {
        let mut sum = Gradients::new();
        let mut statistics = BTreeMap::new();
        let (mut loss_sum, mut rows, mut used) = (0.0, Vec::new(), 0);
        for micro in 0..group {
            let Prepared {
                batch,
                failed,
                position,
            } = loader.next().ok_or_else(ended_early)?;
            self.state.position = position;
            self.quarantine.add(failed).inspect_err(|_| {
                // The budget's error is the one to report, even where its account cannot be written.
                let _ = self.quarantine.write(&self.run.quarantine());
            })?;
            if batch.rows.is_empty() {
                continue;
            }
            let found = self.backward(&batch, &self.step_key().at(micro as u64))?;
            sum = add(sum, found.gradients);
            statistics.extend(found.statistics);
            loss_sum += found.loss * batch.rows.len() as f64;
            rows.extend(batch.rows);
            used += 1;
        }
        let share = 1.0 / used.max(1) as f64;
        let event = self.apply(&sum, share, loss_sum / rows.len().max(1) as f64, &rows)?;
        statistics.retain(|layer, _| !self.frozen.contains(&format!("{layer}.weight")));
        let model = self.model.clone();
        self.model = absorb_statistics(model, &statistics);
        if let Some(average) = &mut self.average {
            average.absorb(&self.model, self.state.step);
        }
        self.state.batch += group;
        self.state.loss_sum += loss_sum;
        self.state.loss_rows += rows.len();
        Ok(event)
    }

    fn step_key(&self) -> Key {
        Key::new(self.plan.recipe.seed).with("step").at(self.state.step)
    }

    /// The mean loss of a batch and its gradients. Outputs that share no encoder are computed beside each other.
    fn backward(&self, batch: &Batch, key: &Key) -> Result<Backward> {
        let weights = &self.plan.recipe.outputs;
        let parts = self.parts.par_iter();
        let parts: Vec<Backward> = parts
            .map(|part| Backward::new(&self.model, part, batch, key, |output| weights[output].weight))
            .collect();
        let mut whole = Backward::default();
        for part in parts {
            whole.loss += part.loss;
            whole.gradients.extend(part.gradients);
            whole.statistics.extend(part.statistics);
            whole.per_row.extend(part.per_row);
        }
        match whole.loss.is_finite() {
            true => Ok(whole),
            false => Err(self.non_finite("the loss", &whole.culprits(batch))),
        }
    }

    /// Lets the optimiser take its step along `share` of the gradients, clipped.
    fn apply(&mut self, gradients: &Gradients, share: f64, loss: f64, rows: &[usize]) -> Result<StepEvent> {
        let training = &self.plan.recipe.training;
        let norm = gradient_norm(gradients.values()) * share;
        if !norm.is_finite() {
            return Err(self.non_finite("a gradient", rows));
        }
        let clipped = training.clip_norm.map_or(1.0, |limit| (limit / norm).min(1.0));
        let factor = training.schedule.factor_at(self.state.step, self.total_steps());
        let learning_rate = self.optimizer.learning_rate() * factor;
        self.state.step += 1;
        let step = self.state.step;
        let taken = optimizer::Step {
            number: step,
            learning_rate,
            gradient_scale: share * clipped,
        };
        self.optimizer.step(&mut self.model, gradients, taken);
        let epoch = self.state.epoch;
        Ok(StepEvent {
            step,
            epoch,
            loss,
            learning_rate,
            gradient_norm: norm,
            rows: rows.len(),
        })
    }

    fn non_finite(&self, what: &str, rows: &[usize]) -> TrainError {
        let shown: Vec<String> = rows.iter().take(20).map(usize::to_string).collect();
        let more = rows.len().saturating_sub(20);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        TrainError::NonFinite(format!(
            "step {}: {what} is not a finite number, so the weights were left as they were; manifest rows {}{more}; \
             lower training.optimizer.learning_rate, set training.clip_norm, or look at these rows",
            self.state.step + 1,
            shown.join(", ")
        ))
    }

    /// Measures the validation split, keeps the best weights and decides whether to go on; false when interrupted.
    fn evaluate(&mut self, interrupt: &AtomicBool, emit: &mut dyn FnMut(Event) -> Result<()>) -> Result<bool> {
        let Some(metrics) = self.measure(interrupt)? else {
            return Ok(false);
        };
        let best = self.compare(&metrics)?;
        let (step, epoch, seconds) = (self.state.step, self.state.epoch, self.seconds());
        self.quarantine.write(&self.run.quarantine())?;
        emit(Event::Evaluation(EvaluationEvent {
            step,
            epoch,
            metrics,
            seconds,
            best,
            unreadable: self.quarantine.count(),
        }))?;
        self.state.finished = self.reason_to_stop();
        if self.state.finished.is_none() {
            self.state.epoch += 1;
            (self.state.batch, self.state.loss_sum, self.state.loss_rows) = (0, 0.0, 0);
            self.state.position = None;
        }
        Ok(true)
    }

    fn measure(&mut self, interrupt: &AtomicBool) -> Result<Option<BTreeMap<String, f64>>> {
        let train_loss = self.state.loss_sum / self.state.loss_rows.max(1) as f64;
        let mut metrics = BTreeMap::from([("train.loss".to_string(), train_loss)]);
        let weights = self.plan.recipe.outputs.iter();
        let model = self.answering();
        let scoring = Scoring {
            model: &model,
            writers: &self.plan.writers,
            dataset: &self.plan.dataset,
            weights: &weights.map(|(name, output)| (name.clone(), output.weight)).collect(),
            threads: self.plan.recipe.data.loader_threads,
            interrupt,
        };
        if self.plan.splits.validation.is_empty() {
            return Ok(Some(metrics));
        }
        let Some(mut scores) = scoring.run(&self.plan.splits.validation, &mut |_| {}) else {
            return Ok(None);
        };
        self.quarantine.add(std::mem::take(&mut scores.failed))?;
        metrics.insert("validation.loss".into(), scores.loss);
        for output in self.plan.recipe.outputs.keys() {
            for (name, value) in scores.metrics(&model, output) {
                metrics.insert(format!("validation.{output}.{name}"), value);
            }
        }
        Ok(Some(metrics))
    }

    /// The model that is measured and kept: the average where the recipe asks for one.
    fn answering(&self) -> Model {
        match &self.average {
            Some(average) => average.model().clone(),
            None => self.model.valid(),
        }
    }

    /// Whether `metrics` are the best so far; if so the weights become the run's model.
    fn compare(&mut self, metrics: &BTreeMap<String, f64>) -> Result<bool> {
        let stop = &self.plan.recipe.training.stop;
        let metric = self.plan.stop_metric();
        let value = metrics[metric];
        let better = self
            .state
            .best
            .as_ref()
            .is_none_or(|best| stop.is_better(value, best.value));
        let better = better && value.is_finite();
        if better {
            save(&pretrained::whole(&self.plan, &self.answering())?, &self.run.weights())?;
            let (step, epoch) = (self.state.step, self.state.epoch);
            self.state.best = Some(Best { step, epoch, value });
            self.state.evaluations_since_best = 0;
        } else {
            self.state.evaluations_since_best += 1;
        }
        Ok(better)
    }

    fn reason_to_stop(&self) -> Option<String> {
        let training = &self.plan.recipe.training;
        let best = self.state.best.as_ref()?;
        let metric = self.plan.stop_metric();
        if training.stop.reached(best.value) {
            return Some(format!("{metric} has reached {:.4}", best.value));
        }
        let since = self.state.evaluations_since_best;
        if training.stop.patience.is_some_and(|patience| since >= patience) {
            return Some(format!("{metric} has not improved for {since} evaluations"));
        }
        let epochs = self.state.epoch + 1;
        let last = epochs >= training.max_epochs;
        self.limit()
            .or_else(|| last.then(|| format!("max_epochs = {epochs} is reached")))
    }

    /// Trainable parameters, in numbers.
    pub fn parameter_count(&self) -> usize {
        let all = sensorium_model::parameters(&self.model);
        let trainable = all.values().filter(|parameter| parameter.trainable);
        trainable
            .map(|parameter| parameter.shape.iter().product::<usize>())
            .sum()
    }
}

fn frozen(model: &Model) -> BTreeSet<String> {
    let all = sensorium_model::parameters(model).into_iter();
    let frozen = all.filter(|(_, parameter)| !parameter.trainable);
    frozen.map(|(path, _)| path).collect()
}

fn ended_early() -> TrainError {
    let message = "the rows of this epoch ended before their number was reached: the set was changed, or a thread that \
                   prepares batches was lost; go on with --resume once the set is whole";
    TrainError::Run(message.into())
}
