// SPDX-License-Identifier: Apache-2.0
package peer;

import java.util.List;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.BasicTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.co.KeyedBroadcastProcessFunction;
import org.apache.flink.streaming.api.functions.co.ProcessJoinFunction;
import org.apache.flink.streaming.api.operators.StreamOperatorFactory;
import org.apache.flink.streaming.api.operators.co.CoBroadcastWithKeyedOperator;
import org.apache.flink.streaming.api.transformations.TwoInputTransformation;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;
import org.apache.flink.streaming.util.TwoInputStreamOperatorTestHarness;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/** Operators with two inputs, fed in the order of the script by Flink's own test harness. */
final class TwoInputs {
  private static final OutputTag<Script.Item> LATE_LEFT = new OutputTag<>("left") {};
  private static final OutputTag<Script.Item> LATE_RIGHT = new OutputTag<>("right") {};

  static boolean knows(String job) {
    return job.equals("interval_join") || job.equals("broadcast");
  }

  static final class Pair extends ProcessJoinFunction<Script.Item, Script.Item, String> {
    @Override
    public void processElement(
        Script.Item left, Script.Item right, Context context, Collector<String> out) {
      out.collect("pair " + left.id + " " + right.id + " " + context.getTimestamp());
    }
  }

  /** Rules by number; a record is told the sum of all that are for its key, or for all keys. */
  static final class Rules
      extends KeyedBroadcastProcessFunction<Integer, Script.Item, Script.Item, String> {
    static final MapStateDescriptor<Integer, long[]> STATE =
        new MapStateDescriptor<>(
            "rules", BasicTypeInfo.INT_TYPE_INFO, TypeInformation.of(long[].class));

    @Override
    public void processElement(Script.Item item, ReadOnlyContext context, Collector<String> out)
        throws Exception {
      long sum = 0;
      long rules = 0;
      for (var rule : context.getBroadcastState(STATE).immutableEntries()) {
        if (rule.getKey() % 2 == item.key % 2) {
          sum += rule.getValue()[0];
          ++rules;
        }
      }
      out.collect("rules " + item.id + " " + rules + " " + sum);
    }

    @Override
    public void processBroadcastElement(Script.Item rule, Context context, Collector<String> out)
        throws Exception {
      if (rule.value < 0) {
        context.getBroadcastState(STATE).remove(rule.key);
      } else {
        context.getBroadcastState(STATE).put(rule.key, new long[] {rule.value});
      }
    }
  }

  private static TwoInputStreamOperatorTestHarness<Script.Item, Script.Item, String> harness(
      Script script) throws Exception {
    Peer.ByKey key = new Peer.ByKey();
    if (script.job.equals("broadcast")) {
      return new KeyedTwoInputStreamOperatorTestHarness<>(
          new CoBroadcastWithKeyedOperator<>(new Rules(), List.of(Rules.STATE)),
          key,
          null,
          BasicTypeInfo.INT_TYPE_INFO,
          1,
          1,
          0);
    }
    // The operator as the DataStream API makes it.
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
    KeyedStream<Script.Item, Integer> left = source(env, script).keyBy(key);
    KeyedStream<Script.Item, Integer> right = source(env, script).keyBy(key);
    KeyedStream.IntervalJoined<Script.Item, Script.Item, Integer> joined =
        left.intervalJoin(right)
            .between(
                java.time.Duration.ofMillis(script.get("lower")),
                java.time.Duration.ofMillis(script.get("upper")));
    if (script.get("lower_exclusive") != 0) {
      joined = joined.lowerBoundExclusive();
    }
    if (script.get("upper_exclusive") != 0) {
      joined = joined.upperBoundExclusive();
    }
    var results =
        joined
            .sideOutputLeftLateData(LATE_LEFT)
            .sideOutputRightLateData(LATE_RIGHT)
            .process(new Pair());
    @SuppressWarnings("unchecked")
    StreamOperatorFactory<String> factory =
        ((TwoInputTransformation<Script.Item, Script.Item, String>) results.getTransformation())
            .getOperatorFactory();
    return new KeyedTwoInputStreamOperatorTestHarness<>(
        (org.apache.flink.streaming.api.operators.TwoInputStreamOperator<Script.Item, Script.Item, String>) ((org.apache.flink.streaming.api.operators.SimpleOperatorFactory<String>) factory).getOperator(), key, key, BasicTypeInfo.INT_TYPE_INFO);
  }

  private static org.apache.flink.streaming.api.datastream.DataStream<Script.Item> source(
      StreamExecutionEnvironment env, Script script) {
    return env.addSource(new Peer.Player(script)).returns(Script.Item.class);
  }

  static void run(Script script, List<String> results) throws Exception {
    try (var harness = harness(script)) {
      harness.open();
      for (Script.Item item : script.items) {
        if (item.mark && item.input == 0) {
          harness.processWatermark1(new Watermark(item.time));
        } else if (item.mark) {
          harness.processWatermark2(new Watermark(item.time));
        } else if (item.input == 0) {
          harness.processElement1(new StreamRecord<>(item, item.time));
        } else {
          harness.processElement2(new StreamRecord<>(item, item.time));
        }
      }
      harness.processWatermark1(Watermark.MAX_WATERMARK);
      harness.processWatermark2(Watermark.MAX_WATERMARK);
      for (Object element : harness.getOutput()) {
        if (element instanceof StreamRecord) {
          results.add(((StreamRecord<?>) element).getValue().toString());
        }
      }
      for (OutputTag<Script.Item> tag : List.of(LATE_LEFT, LATE_RIGHT)) {
        var late = harness.getSideOutput(tag);
        if (late == null) {
          continue;
        }
        for (StreamRecord<Script.Item> record : late) {
          results.add("late " + record.getValue().id);
        }
      }
    }
  }
}
