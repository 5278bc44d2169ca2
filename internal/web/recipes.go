package web

import (
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/internal/graph"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// recipeItem is a recipe with how its runs went.
type recipeItem struct {
	api.Recipe
	Newest []run.Run
	Median string
}

func (s *site) recipes(r *http.Request) (*view, error) {
	all, err := s.api.Recipes()
	if err != nil {
		return nil, err
	}
	newest, err := s.api.Client().Newest(r.Context(), gridLook, 20)
	if err != nil {
		return nil, err
	}
	var rows []recipeItem
	for _, rc := range all {
		item := recipeItem{Recipe: rc, Newest: slices.Clone(newest[rc.Title])}
		if len(item.Newest) == 0 {
			item.Newest = slices.Clone(newest[rc.Name])
		}
		item.Median = median(item.Newest)
		slices.Reverse(item.Newest)
		rows = append(rows, item)
	}
	return &view{Title: "Recipes", Nav: "recipes", Data: rows}, nil
}

// median is the time in the middle of those of runs that succeeded.
func median(runs []run.Run) string {
	var all []int64
	for _, r := range runs {
		if r.State == run.Succeeded {
			all = append(all, r.Ended-r.Started)
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return length(durationOf(all[len(all)/2]))
}

// recipePage is one recipe with the form that submits it.
type recipePage struct {
	Name, Path  string
	Description string
	Fields      []field
	Graph       template.HTML
	Flows       []string
	Definition  any
}

// field is an input as a form has it.
type field struct {
	flow.Input
	Kind    string // text, number, select, area, hidden or date
	Value   string
	Options []string
}

func (s *site) recipe(r *http.Request) (*view, error) {
	name := r.PathValue("recipe")
	b, err := s.api.Load(name)
	if err != nil {
		return nil, err
	}
	f := b.RootFlow()
	p := &recipePage{Name: name, Path: f.Path, Description: f.Description, Definition: b}
	for i := range f.Inputs {
		if in := &f.Inputs[i]; !in.Constant {
			p.Fields = append(p.Fields, fieldOf(in))
		}
	}
	for key := range b.Flows {
		p.Flows = append(p.Flows, key)
	}
	slices.Sort(p.Flows)
	g := graph.New(b, graph.Options{Expand: len(b.Flows) > 1 && jobsOf(b) <= 60})
	p.Graph = picture(g.Fold(mostNodes, nil), nil)
	return &view{Title: f.Name, Nav: "recipes", Data: p}, nil
}

func jobsOf(b *flow.Bundle) int {
	n := 0
	for _, f := range b.Flows {
		n += len(f.Jobs)
	}
	return n
}

// fieldOf chooses how an input is asked for.
func fieldOf(in *flow.Input) field {
	f := field{Input: *in, Kind: "text"}
	if v, constant := in.Default.Constant(); in.Default != nil && constant && v != nil {
		f.Value = plain(v)
	}
	switch {
	case len(in.Enum) > 0:
		f.Kind = "select"
		for _, e := range in.Enum {
			f.Options = append(f.Options, plain(e))
		}
	case in.Type == "boolean":
		f.Kind, f.Options = "select", []string{"true", "false"}
	case in.Type == "number" || in.Type == "integer":
		f.Kind = "number"
	case in.Type == "list" || in.Type == "map" || in.Type == "json":
		f.Kind = "area"
	case in.Type == "secret" || in.Secret:
		f.Kind = "password"
	case in.Type == "date":
		f.Kind = "date"
	}
	return f
}

// plain writes a value as a form takes it: texts as they are, others as JSON.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

// submit takes the form of a recipe. Fields that were left empty are not given,
// so that defaults count.
func (s *site) submit(r *http.Request) (string, error) {
	name := r.PathValue("recipe")
	here := s.api.BasePath() + "/recipes/" + name
	if err := r.ParseForm(); err != nil {
		return here, &api.Error{Status: http.StatusBadRequest, Code: "badRequest", Message: "the form cannot be read"}
	}
	inputs := map[string]any{}
	for key, values := range r.PostForm {
		if input, ok := strings.CutPrefix(key, "input."); ok && values[0] != "" {
			inputs[input] = values[0]
		}
	}
	id, err := s.api.Client().Start(r.Context(), client.Request{Recipe: name, Inputs: inputs, By: who})
	if err != nil {
		return here, err
	}
	return s.api.BasePath() + "/runs/" + id, nil
}
