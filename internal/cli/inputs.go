package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
)

// given are the inputs of the command line.
type given struct {
	pairs   []string
	file    string
	noCache bool
	labels  map[string]string
}

// fromFile reads the file with inputs, if there is one.
func (g *given) fromFile() (map[string]any, error) {
	if g.file == "" {
		return map[string]any{}, nil
	}
	raw, err := os.ReadFile(g.file)
	if err != nil {
		return nil, &exit{exitUsage, fmt.Errorf("read the inputs: %w", err)}
	}
	v, err := readInputs(g.file, raw)
	if err != nil {
		return nil, &exit{exitInvalid, err}
	}
	return v, nil
}

// flags puts the inputs of the command line over others.
func (g *given) flags(all map[string]any) error {
	for _, pair := range g.pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return &exit{exitUsage, fmt.Errorf("the input %q is not of the form name=value", pair)}
		}
		all[name] = value
	}
	return nil
}

// gather puts inputs together: a file, over it the environment, over that the
// command line; what is missing is asked for on a terminal.
func (a *app) gather(f *flow.Flow, g given) (map[string]any, error) {
	all, err := g.fromFile()
	if err != nil {
		return nil, err
	}
	for i := range f.Inputs {
		name := f.Inputs[i].Name
		if v, ok := os.LookupEnv("ORCHIS_INPUT_" + strings.ToUpper(name)); ok {
			all[name] = v
		}
	}
	if err := g.flags(all); err != nil {
		return nil, err
	}
	if a.asks {
		if err := a.prompt(f, all); err != nil {
			return nil, err
		}
	}
	resolved, problems := f.ResolveInputs(all, time.Now())
	if len(problems) > 0 {
		var lines []string
		for _, p := range problems {
			lines = append(lines, p.Error())
		}
		return nil, &exit{exitInvalid, fmt.Errorf("%s", strings.Join(lines, "\n"))}
	}
	for i := range f.Inputs {
		if f.Inputs[i].Constant {
			delete(resolved, f.Inputs[i].Name)
		}
	}
	return resolved, nil
}

func readInputs(name string, raw []byte) (map[string]any, error) {
	var v any
	var err error
	if strings.HasSuffix(name, ".json") {
		v, err = expr.Decode(raw)
	} else {
		v, err = flow.ParseYAML(name, raw)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: the inputs must be a map", name)
	}
	return m, nil
}

// prompt asks for required inputs that are missing, three times each.
func (a *app) prompt(f *flow.Flow, all map[string]any) error {
	lines := bufio.NewReader(a.in)
	for i := range f.Inputs {
		in := &f.Inputs[i]
		if _, there := all[in.Name]; there || in.Constant || in.Default != nil || !in.Required {
			continue
		}
		label := in.Label
		if label == "" {
			label = in.Name
		}
		one := &flow.Flow{Name: f.Name, Inputs: []flow.Input{*in}}
		for try := 1; ; try++ {
			a.tell("%s: ", label)
			text, err := lines.ReadString('\n')
			text = strings.TrimSpace(text)
			if text != "" {
				_, problems := one.ResolveInputs(map[string]any{in.Name: text}, time.Now())
				if len(problems) == 0 {
					all[in.Name] = text
					break
				}
				a.tell("  %s\n", problems[0].Message)
			}
			if err != nil || try == 3 {
				return &exit{exitInvalid, fmt.Errorf("input %q: no usable value after %d tries", in.Name, try)}
			}
		}
	}
	return nil
}

// pretty writes JSON for people.
func pretty(raw []byte) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return string(raw)
	}
	return string(out)
}
