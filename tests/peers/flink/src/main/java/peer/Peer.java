// SPDX-License-Identifier: Apache-2.0
package peer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.datastream.WindowedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.SinkFunction;
import org.apache.flink.streaming.api.functions.source.SourceFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/** Runs every script of a folder through Flink and writes what comes out, a line each, sorted. */
public final class Peer {
  private static final Map<String, List<String>> RESULTS = new ConcurrentHashMap<>();
  private static final int SCRIPTS_PER_JOB = 20;
  private static final OutputTag<Script.Item> LATE = new OutputTag<>("late") {};

  /** Plays a script: every watermark stands exactly where the script has it. */
  static final class Player implements SourceFunction<Script.Item> {
    private final Script script;

    Player(Script script) {
      this.script = script;
    }

    @Override
    public void run(SourceContext<Script.Item> context) {
      for (Script.Item item : script.items) {
        if (item.mark) {
          context.emitWatermark(new Watermark(item.time));
        } else {
          context.collectWithTimestamp(item, item.time);
        }
      }
    }

    @Override
    public void cancel() {}
  }

  static final class Keep implements SinkFunction<String> {
    private final String name;

    Keep(String name) {
      this.name = name;
    }

    @Override
    public void invoke(String value, Context context) {
      RESULTS.get(name).add(value);
    }
  }

  static final class Statistics
      extends ProcessWindowFunction<Script.Item, String, Integer, TimeWindow> {
    @Override
    public void process(
        Integer key, Context context, Iterable<Script.Item> items, Collector<String> out) {
      long count = 0;
      long sum = 0;
      for (Script.Item item : items) {
        ++count;
        sum += item.value;
      }
      TimeWindow window = context.window();
      out.collect(
          "window " + key + " " + window.getStart() + " " + window.getEnd() + " " + count + " "
              + sum);
    }
  }

  private static WindowedStream<Script.Item, Integer, TimeWindow> windows(
      KeyedStream<Script.Item, Integer> keyed, Script script) {
    Duration size = Duration.ofMillis(script.get("size"));
    Duration offset = Duration.ofMillis(script.get("offset"));
    switch (script.job) {
      case "tumbling":
        return keyed.window(TumblingEventTimeWindows.of(size, offset));
      case "sliding":
        return keyed.window(
            SlidingEventTimeWindows.of(size, Duration.ofMillis(script.get("slide")), offset));
      default:
        return keyed.window(EventTimeSessionWindows.withGap(Duration.ofMillis(script.get("gap"))));
    }
  }

  /** Many scripts in one job: starting a cluster takes far longer than running one of them. */
  private static void runOnCluster(List<Script> scripts) throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(1, new Configuration());
    env.getConfig().disableClosureCleaner();
    for (Script script : scripts) {
      add(env, script);
    }
    env.execute();
  }

  private static void add(StreamExecutionEnvironment env, Script script) {
    KeyedStream<Script.Item, Integer> keyed =
        env.addSource(new Player(script)).returns(Script.Item.class).keyBy(new ByKey());
    if (script.job.equals("timers")) {
      keyed.process(new Timers(script)).addSink(new Keep(script.name));
    } else {
      SingleOutputStreamOperator<String> results =
          windows(keyed, script)
              .allowedLateness(Duration.ofMillis(script.get("lateness")))
              .sideOutputLateData(LATE)
              .process(new Statistics());
      results.addSink(new Keep(script.name));
      results
          .getSideOutput(LATE)
          .map(item -> "late " + item.id)
          .returns(String.class)
          .addSink(new Keep(script.name));
    }
  }

  static final class ByKey
      implements org.apache.flink.api.java.functions.KeySelector<Script.Item, Integer> {
    @Override
    public Integer getKey(Script.Item item) {
      return item.key;
    }
  }

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    List<Path> scripts;
    try (Stream<Path> files = Files.list(folder)) {
      scripts =
          files
              .filter(file -> file.toString().endsWith(".script"))
              .sorted()
              .collect(Collectors.toList());
    }
    List<Script> waiting = new ArrayList<>();
    for (Path file : scripts) {
      Script script = Script.read(file);
      RESULTS.put(script.name, Collections.synchronizedList(new ArrayList<>()));
      if (TwoInputs.knows(script.job)) {
        TwoInputs.run(script, RESULTS.get(script.name));
        continue;
      }
      waiting.add(script);
      if (waiting.size() == SCRIPTS_PER_JOB) {
        runOnCluster(waiting);
        waiting.clear();
      }
    }
    if (!waiting.isEmpty()) {
      runOnCluster(waiting);
    }
    for (Map.Entry<String, List<String>> entry : RESULTS.entrySet()) {
      Collections.sort(entry.getValue());
      Files.write(folder.resolve(entry.getKey() + ".flink"), entry.getValue());
    }
  }
}
