// Command bench measures Orchis, its real processes on a Redis of their own,
// beside the least that Redis could do and beside others who do the same work.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// The names of the contenders in the table.
const (
	rawName   = "raw loop"
	asynqName = "asynq, flat queue"
	bullName  = "BullMQ, chain of 10"
	everysec  = "chain of 10, AOF everysec"
	always    = "chain of 10, AOF always"
	divided   = "chain of 10, 2 partitions"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	full := flag.Bool("full", false, "all loads, all ways of keeping, and profiles")
	page := flag.String("page", "", "page into which the report is written")
	most := flag.Duration("most", 22*time.Second, "no round begins after this time")
	rounds := flag.Int("rounds", 3, "at most")
	profiles := flag.Bool("profiles", false, "only show where the time of a chain of 10 goes")
	payloads := flag.Bool("payloads", false, "only measure results of several sizes; with -profiles where their time goes")
	answers := flag.Bool("answers", false, "only measure what a client sees that waits for its runs")
	base := flag.String("base", "", "commit whose build takes turns with this one")
	rtts := flag.String("distance", "", "only measure with these round trips between our processes and Redis, such as 10ms,50ms")
	flag.Parse()
	dir, err := os.MkdirTemp("", "orchis-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, report: report{full: *full}}
	defer b.stop()
	if *profiles {
		of := chain10().times(6)
		if *payloads {
			loads := payloadLoads()
			if of, err = loads[len(loads)-1].load(); err != nil {
				return err
			}
			of = of.times(10)
		}
		text, err := b.profile(ctx, of)
		_, _ = fmt.Fprintln(os.Stdout, text)
		return err
	}
	if *payloads {
		if err := b.onlyPayloads(ctx, *rounds, *base); err != nil {
			return err
		}
		_, err = fmt.Fprintln(os.Stdout, b.report.plain())
		return err
	}
	if *answers {
		if err := b.onlyAnswers(ctx, *rounds); err != nil {
			return err
		}
		_, err = fmt.Fprintln(os.Stdout, b.report.plain())
		return err
	}
	if *rtts != "" {
		if b.built, err = build(ctx, b.dir, false); err != nil {
			return err
		}
		_, err = b.distances(ctx, *rtts)
		return err
	}
	if err := b.start(ctx); err != nil {
		return err
	}
	if *base != "" {
		if err := b.startBase(ctx, *base); err != nil {
			return err
		}
	}
	if err := b.measure(ctx, *rounds, *most); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(os.Stdout, b.report.plain())
	if *page != "" {
		if err := b.report.write(*page); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(os.Stdout, "ratio_to_raw: %.2f\n", b.report.ratio(chain10().name, rawName))
	return err
}

// bench is a run of the benchmarks.
type bench struct {
	dir   string
	built programs
	peers *server
	off   *installation // without AOF
	kept  map[string]*installation
	bull  *bullMQ
	// base is an installation of another commit; nil for none.
	base     *installation
	dropBase func()
	report   report
}

func (b *bench) start(ctx context.Context) (err error) {
	if b.built, err = build(ctx, b.dir, false); err != nil {
		return err
	}
	if b.peers, err = startServer(ctx, b.dir, "off"); err != nil {
		return err
	}
	b.report.machine = machineOf(ctx, b.peers)
	if b.off, err = install(ctx, b.dir, b.built, setup{aof: "off", slots: 200}); err != nil {
		return err
	}
	b.kept = map[string]*installation{}
	for name, s := range map[string]setup{everysec: {aof: "everysec"}, always: {aof: "always"}, divided: {aof: "off", partitions: 2}} {
		if name != everysec && !b.report.full {
			continue
		}
		s.slots = 200
		if b.kept[name], err = install(ctx, b.dir, b.built, s); err != nil {
			return err
		}
	}
	if b.bull, err = openBullMQ(ctx, b.dir); err != nil {
		b.report.figures.leftOut = err.Error()
	}
	f := &b.report.figures
	f.orchestratorIdle, f.workerIdle = resident(b.off.orchestrator.Process.Pid), resident(b.off.worker.Process.Pid)
	return nil
}

func (b *bench) stop() {
	if b.base != nil {
		b.base.stop()
	}
	if b.dropBase != nil {
		b.dropBase()
	}
	for _, in := range b.kept {
		in.stop()
	}
	if b.off != nil {
		b.off.stop()
	}
	if b.peers != nil {
		b.peers.stop()
	}
}

// measure does rounds, in each of which everybody has a turn, then what is
// measured once.
func (b *bench) measure(ctx context.Context, rounds int, most time.Duration) error {
	began := time.Now()
	f := &b.report.figures
	for f.rounds < rounds && (f.rounds == 0 || time.Since(began) < most) {
		if err := b.round(ctx); err != nil {
			return err
		}
		f.rounds++
	}
	var err error
	if f.waiting, err = b.off.memoryWaiting(ctx); err != nil {
		return err
	}
	n := 20
	if b.report.full {
		n = 200
		f.halfRate = b.report.median(chain10().name, func(s sample) float64 { return s.perSecond }) / 2
		if f.half, err = b.off.loadedHops(ctx, f.halfRate/chainLength, 5*time.Second); err != nil {
			return err
		}
	}
	if f.idle, err = b.off.idleHops(ctx, n); err != nil {
		return err
	}
	f.orchestratorLoaded, f.workerLoaded = b.off.orchestratorMost, b.off.workerMost
	if b.report.full {
		if f.distances, err = b.distances(ctx, "1ms,10ms,50ms"); err != nil {
			return err
		}
	}
	if f.slow, err = b.off.client.Do(ctx, "SLOWLOG", "LEN").Int64(); err != nil || !b.report.full {
		return err
	}
	f.profiles, err = b.profile(ctx, chain10().times(6))
	return err
}

func (b *bench) round(ctx context.Context) error {
	t := &b.report.table
	const rawJobs, asynqJobs, bullFlows = 40_000, 5000, 150
	before, err := b.peers.usage(ctx)
	if err != nil {
		return err
	}
	took, err := rawLoop(ctx, b.peers, rawJobs, textOf(payload))
	if err != nil {
		return err
	}
	after, err := b.peers.usage(ctx)
	if err != nil {
		return err
	}
	t.add(rawName, sample{perSecond: rawJobs / took.Seconds(), redis: float64((after.cpu - before.cpu).Microseconds()) / rawJobs})
	loads := []load{chain10(), fanOut()}
	if b.report.full {
		loads = append([]load{chain10().times(4), fanOut().times(4)}, otherLoads()...)
	}
	for _, l := range loads {
		m, err := b.off.through(ctx, l)
		if err != nil {
			return err
		}
		t.add(l.name, m.sample(l))
	}
	if b.base != nil {
		m, err := b.base.through(ctx, loads[0])
		if err != nil {
			return err
		}
		t.add(baseName, m.sample(loads[0]))
	}
	for _, name := range []string{everysec, always, divided} {
		if in := b.kept[name]; in != nil {
			m, err := in.through(ctx, loads[0])
			if err != nil {
				return err
			}
			t.add(name, m.sample(loads[0]))
		}
	}
	if err := b.payloads(ctx); err != nil {
		return err
	}
	if err := b.answered(ctx); err != nil {
		return err
	}
	if took, err = flatAsynq(ctx, b.peers, asynqJobs); err != nil {
		return err
	}
	t.add(asynqName, sample{perSecond: asynqJobs / took.Seconds()})
	if b.bull == nil {
		return nil
	}
	perSecond, err := b.bull.chains(ctx, b.peers, bullFlows, chainLength)
	if err == nil {
		t.add(bullName, sample{perSecond: perSecond})
	}
	return err
}

// profile takes CPU profiles of processes that do nothing but one load.
func (b *bench) profile(ctx context.Context, l load) (string, error) {
	dir := filepath.Join(b.dir, "profiled")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	p, err := build(ctx, dir, true)
	if err != nil {
		return "", err
	}
	in, err := install(ctx, dir, p, setup{aof: "off", slots: 200, profile: dir})
	if err != nil {
		return "", err
	}
	_, err = in.through(ctx, l)
	stats, statsErr := in.commandStats(ctx)
	in.stop()
	if err != nil {
		return "", err
	}
	if statsErr != nil {
		return "", statsErr
	}
	text := "Commands of Redis (`INFO commandstats`):\n\n```text\n" + stats + "```\n"
	for _, name := range []string{"orchestrator", "worker"} {
		program := map[string]string{"orchestrator": p.orchestrator, "worker": p.worker}[name]
		top, err := topOf(ctx, program, filepath.Join(dir, name+".pprof"))
		if err != nil {
			return "", err
		}
		text += "\nThe " + name + " (`go tool pprof -top -cum`):\n\n```text\n" + top + "```\n"
	}
	return text, nil
}
