// SPDX-License-Identifier: Apache-2.0
package peer;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** State and timers per key: the same steps as in peer.cpp. */
final class Timers extends KeyedProcessFunction<Integer, Script.Item, String> {
  private final long ahead;
  private final long behind;
  private final long again;
  private transient ValueState<long[]> state;

  Timers(Script script) {
    ahead = script.get("ahead");
    behind = script.get("behind");
    again = script.get("again");
  }

  @Override
  public void open(OpenContext context) {
    state = getRuntimeContext().getState(new ValueStateDescriptor<>("state", long[].class));
  }

  /** Count, sum, the last timer and whether there is one, timers that have fired. */
  private long[] load() throws Exception {
    long[] value = state.value();
    return value == null ? new long[5] : value;
  }

  @Override
  public void processElement(Script.Item item, Context context, Collector<String> out)
      throws Exception {
    long[] s = load();
    s[0] += 1;
    s[1] += item.value;
    if (item.value % 5 == 0 && s[3] != 0) {
      context.timerService().deleteEventTimeTimer(s[2]);
      s[3] = 0;
    }
    if (item.value % 3 == 0) {
      s[2] = item.time + ahead;
      s[3] = 1;
      context.timerService().registerEventTimeTimer(s[2]);
    }
    if (item.value % 7 == 0) {
      context.timerService().registerEventTimeTimer(item.time - behind);
    }
    out.collect("record " + item.key + " " + item.id + " " + s[0] + " " + s[1]);
    state.update(s);
  }

  @Override
  public void onTimer(long time, OnTimerContext context, Collector<String> out) throws Exception {
    long[] s = load();
    s[4] += 1;
    out.collect("timer " + context.getCurrentKey() + " " + time + " " + s[0] + " " + s[1]);
    if (s[0] % 4 == 0 && s[4] < 20) {
      context.timerService().registerEventTimeTimer(time + again);
    }
    if (s[0] % 6 == 1) {
      state.clear();
    } else {
      state.update(s);
    }
  }
}
