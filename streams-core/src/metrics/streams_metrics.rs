//! Sensors of the application's own, in processors: Kafka Streams' `StreamsMetrics`.

use super::{RecordingLevel, Sensor, Stat, TaskMetrics};

/// Adds and removes sensors of the application's own. From [`ProcessingContext::metrics`](crate::processor::ProcessingContext::metrics).
///
/// Their metrics are in the group `stream-<scope>-metrics`, with the tags `thread-id` and `<scope>-id` (the entity), and those that are
/// given. They go with the task. Entities should tell tasks apart if several tasks of a thread measure the same: put the task into it, or
/// into a tag.
///
/// ```
/// use streams_core::{error::BoxError, metrics::*, processor::*, record::Record};
///
/// /// Counts what each shop sells.
/// #[derive(Default)]
/// struct Sales(Option<Sensor>);
///
/// impl Processor<String, i64, String, i64> for Sales {
///     fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
///         let entity = format!("sales-{}", context.task_id());
///         // `sale-rate` and `sale-total` of the group `stream-shop-metrics`, tagged `shop-id`.
///         self.0 = Some(context.metrics().add_rate_total_sensor("shop", &entity, "sale", RecordingLevel::Info, &[]));
///         Ok(())
///     }
///
///     fn process(&mut self, context: &mut ProcessorContext<'_, String, i64>, record: Record<String, i64>) -> Result<(), BoxError> {
///         if let Some(sales) = &self.0 {
///             sales.record(1.0, context.current_system_time());
///         }
///         context.forward(record)?;
///         Ok(())
///     }
/// }
/// ```
#[derive(Debug)]
pub struct StreamsMetrics<'a>(pub(crate) &'a mut TaskMetrics);

impl StreamsMetrics<'_> {
    /// A sensor whose metrics are given one by one: name, description, how.
    pub fn add_sensor(
        &mut self,
        scope: &str,
        entity: &str,
        level: RecordingLevel,
        tags: &[(&str, &str)],
        shown: &[(&str, &str, Stat)],
    ) -> Sensor {
        let shown: Vec<(String, String, Stat)> = shown
            .iter()
            .map(|(name, description, stat)| ((*name).to_owned(), (*description).to_owned(), *stat))
            .collect();
        let sensor = self.0.metrics().sensor(level);
        let id = format!("{scope}-id");
        let tags: Vec<(&str, &str)> =
            std::iter::once((id.as_str(), entity)).chain(tags.iter().copied()).collect();
        self.0.add_user_sensor(sensor, &format!("stream-{scope}-metrics"), &tags, &shown)
    }

    /// A sensor for how long `operation` takes: `<operation>-latency-avg`, `-latency-max`, `-rate`, `-total`. In whatever unit is recorded.
    pub fn add_latency_rate_total_sensor(
        &mut self,
        scope: &str,
        entity: &str,
        operation: &str,
        level: RecordingLevel,
        tags: &[(&str, &str)],
    ) -> Sensor {
        let [rate, total] = rate_total(operation);
        let latency = |kind: &str, word: &str, stat| {
            (format!("{operation}-latency-{kind}"), format!("{word} latency of {operation}"), stat)
        };
        let shown = [latency("avg", "Average", Stat::Avg), latency("max", "Maximum", Stat::Max), rate, total];
        self.shown(scope, entity, level, tags, &shown)
    }

    /// A sensor for how often `operation` happens: `<operation>-rate`, `<operation>-total`.
    pub fn add_rate_total_sensor(
        &mut self,
        scope: &str,
        entity: &str,
        operation: &str,
        level: RecordingLevel,
        tags: &[(&str, &str)],
    ) -> Sensor {
        self.shown(scope, entity, level, tags, &rate_total(operation))
    }

    /// Removes a sensor that was added here, and its metrics.
    pub fn remove_sensor(&mut self, sensor: &Sensor) {
        self.0.remove_user_sensor(sensor);
    }

    fn shown(
        &mut self,
        scope: &str,
        entity: &str,
        level: RecordingLevel,
        tags: &[(&str, &str)],
        shown: &[(String, String, Stat)],
    ) -> Sensor {
        let shown: Vec<(&str, &str, Stat)> =
            shown.iter().map(|(name, description, stat)| (&**name, &**description, *stat)).collect();
        self.add_sensor(scope, entity, level, tags, &shown)
    }
}

fn rate_total(operation: &str) -> [(String, String, Stat); 2] {
    [
        (format!("{operation}-rate"), format!("Rate of {operation}, per second"), Stat::Rate),
        (format!("{operation}-total"), format!("Count of {operation}"), Stat::Count),
    ]
}
