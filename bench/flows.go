package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	payload     = 100 // bytes of inputs of a job
	chainLength = 10
	waiting     = 1500 // tasks that wait
)

// load is a number of runs of one flow.
type load struct {
	name   string
	flow   string
	runs   int
	jobs   int // of each run
	inputs string
}

func (l load) total() int { return l.runs * l.jobs }

// times is the load some times over.
func (l load) times(n int) load {
	l.runs *= n
	return l
}

func chain10() load { return load{name: "chain of 10", flow: "chain10", runs: 500, jobs: chainLength} }

func fanOut() load { return load{name: "fan-out 1 → 100 → 1", flow: "fan", runs: 50, jobs: 102} }

// otherLoads are those of the full form.
func otherLoads() []load {
	return []load{
		{name: "chain of 3", flow: "chain3", runs: 2000, jobs: 3},
		{name: "diamond", flow: "diamond", runs: 1500, jobs: 4},
		{name: "one iteration of 20,000", flow: "wide", runs: 1, jobs: 20_000},
		{name: "10,000 runs at once (chains of 3)", flow: "chain3", runs: 10_000, jobs: 3},
	}
}

// writeFlows writes the flows of all loads.
func writeFlows(project string) error {
	folder := filepath.Join(project, "flows")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	for name, text := range flows() {
		if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func flows() map[string]string {
	head := "inputs:\n  payload: { default: \"" + textOf(payload) + "\" }\njobs:\n"
	job := func(name, handler, from, extra string) string {
		return fmt.Sprintf("  %s:\n    job: %s\n    inputs: { payload: \"${%s.payload}\" }\n%s", name, handler, from, extra)
	}
	after := func(names string) string { return "    dependsOn: [" + names + "]\n" }
	chain := func(handler string, n int) string {
		text := head + job("job_0", handler, "inputs", "")
		for i := 1; i < n; i++ {
			text += job(fmt.Sprint("job_", i), handler, "inputs", after(fmt.Sprint("job_", i-1)))
		}
		return text
	}
	noop := func(name, extra string) string { return job(name, "noop", "inputs", extra) }
	return map[string]string{
		"chain3": chain("noop", 3), "chain10": chain("noop", chainLength), "hop": chain("stamp", chainLength),
		"fan":     head + noop("first", "") + noop("part", after("first")+"    iterate: { from: 1, to: 100 }\n") + noop("last", after("part")),
		"wide":    head + noop("part", "    iterate: { from: 1, to: 20000 }\n"),
		"diamond": head + noop("top", "") + noop("left", after("top")) + noop("right", after("top")) + noop("bottom", after("left, right")),
		"payload": "inputs:\n  payload: {}\njobs:\n" + job("first", "echo", "inputs", "") + job("second", "echo", "first", "") + job("third", "echo", "second", ""),
		"waiting": head + noop("part", fmt.Sprintf("    queue: idle\n    iterate: { from: 1, to: %d }\n    parallelism: %d\n", waiting, waiting)),
	}
}
