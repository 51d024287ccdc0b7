// SPDX-License-Identifier: Apache-2.0
// Keyed sliding windows of 10 s by 1 s (sum, min, max, count) in Flink's DataStream API, in one JVM,
// at parallelism 1: the contestant "in order" of the benchmark window_disorder. Prints a line per
// repetition after the warm-up: events, digest, processor ns, wall ns.
//
//   Windows PASSES REPETITIONS

import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.SinkFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

public class Windows {
  static final long EVENTS = 1 << 16;
  static final long KEYS = 10_000;
  static final long BETWEEN = 10; // microseconds
  static final long START = 1_700_000_000L * 1_000_000L;

  public static class Event {
    public long key;
    public double value;
    public long time; // microseconds
  }

  /** The n-th number of splitmix64, seed 1. */
  static long random(long n) {
    long z = 1 + n * 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  /** Three random numbers per event, of which the third decides about lateness. */
  static Event event(long n) {
    long i = n % EVENTS;
    Event e = new Event();
    e.key = Long.remainderUnsigned(random(3 * i + 1), KEYS) * 7919 + 13;
    e.value = Long.remainderUnsigned(random(3 * i + 2), 4096) / 4.0;
    e.time = START + n * BETWEEN;
    return e;
  }

  public static class Totals {
    public double sum = 0;
    public double least = Double.POSITIVE_INFINITY;
    public double greatest = Double.NEGATIVE_INFINITY;
    public long count = 0;
  }

  public static class Result {
    public long key;
    public long end; // microseconds
    public double sum, least, greatest;
    public long count;
  }

  static class Add implements AggregateFunction<Event, Totals, Totals> {
    @Override
    public Totals createAccumulator() {
      return new Totals();
    }

    @Override
    public Totals add(Event e, Totals t) {
      t.sum += e.value;
      t.least = Math.min(t.least, e.value);
      t.greatest = Math.max(t.greatest, e.value);
      ++t.count;
      return t;
    }

    @Override
    public Totals getResult(Totals t) {
      return t;
    }

    @Override
    public Totals merge(Totals a, Totals b) {
      a.sum += b.sum;
      a.least = Math.min(a.least, b.least);
      a.greatest = Math.max(a.greatest, b.greatest);
      a.count += b.count;
      return a;
    }
  }

  static class Describe extends ProcessWindowFunction<Totals, Result, Long, TimeWindow> {
    @Override
    public void process(Long key, Context context, Iterable<Totals> all, Collector<Result> out) {
      Totals t = all.iterator().next();
      Result r = new Result();
      r.key = key;
      r.end = context.window().getEnd() * 1000;
      r.sum = t.sum;
      r.least = t.least;
      r.greatest = t.greatest;
      r.count = t.count;
      out.collect(r);
    }
  }

  static final AtomicLong digest = new AtomicLong();
  static final AtomicLong results = new AtomicLong();

  static class Digest implements SinkFunction<Result> {
    @Override
    public void invoke(Result r, Context context) {
      long a = r.key ^ r.end;
      long b = Double.doubleToRawLongBits(r.sum + r.count)
          + 3 * Double.doubleToRawLongBits(r.least)
          + 7 * Double.doubleToRawLongBits(r.greatest);
      digest.addAndGet((a * 0x9e3779b97f4a7c15L) ^ (b * 0xd1b54a32d192ed03L));
      results.incrementAndGet();
    }
  }

  static void run(long events) throws Exception {
    digest.set(0);
    results.set(0);
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(1, new Configuration());
    env.getConfig().enableObjectReuse();
    env.fromSource(new NumberSequenceSource(0, events - 1), WatermarkStrategy.noWatermarks(), "n")
        .map(Windows::event).returns(Event.class)
        .assignTimestampsAndWatermarks(
            WatermarkStrategy.<Event>forBoundedOutOfOrderness(Duration.ofSeconds(2))
                .withTimestampAssigner((e, t) -> e.time / 1000))
        .keyBy(e -> e.key)
        .window(SlidingEventTimeWindows.of(Duration.ofSeconds(10), Duration.ofSeconds(1)))
        .aggregate(new Add(), new Describe())
        .addSink(new Digest());
    env.execute("windows");
  }

  public static void main(String[] arguments) throws Exception {
    long events = Long.parseLong(arguments[0]) * EVENTS;
    int repetitions = Integer.parseInt(arguments[1]);
    var system = (com.sun.management.OperatingSystemMXBean)
        ManagementFactory.getOperatingSystemMXBean();
    for (int r = -2; r < repetitions; ++r) {  // two runs warm up
      long cpu = system.getProcessCpuTime();
      long start = System.nanoTime();
      run(events);
      long took = System.nanoTime() - start;
      cpu = system.getProcessCpuTime() - cpu;
      if (r < 0) continue;
      System.out.println(events + " " + Long.toUnsignedString(digest.get() ^ results.get()) + " "
          + cpu + " " + took);
    }
  }
}
