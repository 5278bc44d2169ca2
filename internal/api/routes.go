package api

import (
	"net/http"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// What goes in and comes out, where no other package has a type for it.
type (
	runList struct {
		Runs []run.Run `json:"runs"`
		// Next is the cursor of the page after this one.
		Next string `json:"next,omitempty"`
	}
	submission struct {
		Recipe     string            `json:"recipe,omitempty"`
		Definition string            `json:"definition,omitempty"`
		Inputs     map[string]any    `json:"inputs,omitempty"`
		ID         string            `json:"id,omitempty"`
		Key        string            `json:"key,omitempty"`
		By         string            `json:"by,omitempty"`
		Labels     map[string]string `json:"labels,omitempty"`
		NoCache    bool              `json:"noCache,omitempty"`
	}
	started struct {
		Run string `json:"run"`
	}
	wish struct {
		By     string `json:"by,omitempty"`
		Reason string `json:"reason,omitempty"`
		// Job is the task that is meant, of an approval or a signal.
		Job string `json:"job,omitempty"`
		// Signal is the name of a signal; Data comes with it, or are the inputs
		// of an approval.
		Signal string `json:"signal,omitempty"`
		Data   any    `json:"data,omitempty"`
	}
	retrial struct {
		By     string         `json:"by,omitempty"`
		From   string         `json:"from,omitempty"`
		Inputs map[string]any `json:"inputs,omitempty"`
		// DryRun only gives the plan.
		DryRun bool `json:"dryRun,omitempty"`
	}
	retried struct {
		Run  string           `json:"run,omitempty"`
		Plan []client.Verdict `json:"plan"`
	}
	namedTask struct {
		ID string `json:"id"`
		run.Task
	}
	taskList struct {
		Tasks []namedTask `json:"tasks"`
	}
	logLine struct {
		ID      string `json:"id"`
		Task    string `json:"task"`
		Attempt int    `json:"attempt"`
		Source  string `json:"source"`
		Text    string `json:"text"`
		At      int64  `json:"at"`
		Number  int    `json:"number"`
	}
	lineList struct {
		Lines []logLine `json:"lines"`
	}
	logEntry struct {
		ID      string       `json:"id"`
		Changes []run.Change `json:"changes"`
	}
	entryList struct {
		Entries []logEntry `json:"entries"`
	}
	reasonList struct {
		Reasons []client.Reason `json:"reasons"`
	}
	// Recipe is what can be submitted.
	Recipe struct {
		Name        string       `json:"name"`
		Path        string       `json:"path"`
		Title       string       `json:"title,omitempty"`
		Description string       `json:"description,omitempty"`
		Inputs      []flow.Input `json:"inputs,omitempty"`
		// Problems says why it cannot be submitted.
		Problems []string `json:"problems,omitempty"`
	}
	recipeList struct {
		Recipes []Recipe `json:"recipes"`
	}
	workerList struct {
		Workers []wire.Worker `json:"workers"`
	}
	// Queue is a queue with all its lanes.
	Queue struct {
		client.Queue
		// Oldest is when its oldest ticket that no worker has was published.
		Oldest int64               `json:"oldest,omitempty"`
		Paused *client.PausedQueue `json:"paused,omitempty"`
	}
	queueList struct {
		Queues []Queue `json:"queues"`
	}
	deadList struct {
		Dead []client.DeadLetter `json:"dead"`
	}
	scheduleList struct {
		Schedules []client.Schedule `json:"schedules"`
	}
	system struct {
		Version string           `json:"version"`
		Epoch   string           `json:"epoch"`
		Active  int64            `json:"active"`
		Ended   int64            `json:"ended"`
		Ready   bool             `json:"ready"`
		Reasons []string         `json:"reasons,omitempty"`
		Checks  []client.Finding `json:"checks"`
	}
)

// routes are all there is.
func routes() []route {
	const v1 = "/api/v1"
	task := [2]string{"task", "the path of a task, as splice_a/split[3]"}
	all := []route{
		{
			method: http.MethodGet, path: v1 + "/runs", summary: "List runs: those under way, then those that ended", reply: runList{}, do: (*Server).listRuns,
			query: [][2]string{{"state", "only runs of this state; may be given often"}, {"recipe", "only runs of this recipe"}, {"limit", "at most this many, up to 500; 50"}, {"cursor", "next of the page before"}},
		},
		{method: http.MethodPost, path: v1 + "/runs", summary: "Submit a recipe", body: submission{}, reply: started{}, changes: true, submits: true, do: (*Server).submit},
		{method: http.MethodGet, path: v1 + "/runs/{run}", summary: "A run", reply: run.Run{}, do: (*Server).getRun},
		{method: http.MethodGet, path: v1 + "/runs/{run}/tasks", summary: "Its tasks; one that is not there is pending", reply: taskList{}, do: (*Server).getTasks},
		{method: http.MethodGet, path: v1 + "/runs/{run}/outputs", summary: "The results of its tasks, by path", reply: map[string]any{}, do: (*Server).getOutputs, query: [][2]string{task}},
		{method: http.MethodGet, path: v1 + "/runs/{run}/definition", summary: "The frozen definition", reply: flow.Bundle{}, do: (*Server).getDefinition},
		{method: http.MethodGet, path: v1 + "/runs/{run}/artifacts", summary: "The files it refers to", reply: map[string][]string{}, do: (*Server).getArtifacts},
		{method: http.MethodGet, path: v1 + "/runs/{run}/log", summary: "What happened, entry by entry", reply: entryList{}, do: (*Server).getLog, query: [][2]string{{"after", "the id of an entry"}, {"limit", "at most this many, up to 1000; 500"}}},
		{method: http.MethodGet, path: v1 + "/runs/{run}/lines", summary: "What a task wrote", reply: lineList{}, do: (*Server).getLines, query: [][2]string{task, {"after", "the id of a line"}}},
		{method: http.MethodGet, path: v1 + "/runs/{run}/why", summary: "Why it is not going on", reply: reasonList{}, do: (*Server).why, query: [][2]string{task}},
		{method: http.MethodGet, path: v1 + "/runs/{run}/events", summary: "What happens, as server-sent events; ends with the run", stream: true, do: (*Server).events, query: [][2]string{{"after", "the id of an entry, where Last-Event-ID cannot be given"}}},
		{method: http.MethodPost, path: v1 + "/runs/{run}/retry", summary: "Go on in a new run with what this one has done", body: retrial{}, reply: retried{}, changes: true, submits: true, do: (*Server).retry},
		{method: http.MethodPost, path: v1 + "/runs/{run}/rerun", summary: "Run all of it again", body: wish{}, reply: started{}, changes: true, submits: true, do: (*Server).rerun},
		{method: http.MethodGet, path: v1 + "/recipes", summary: "The recipes and flows of the project", reply: recipeList{}, do: (*Server).listRecipes},
		{method: http.MethodGet, path: v1 + "/recipes/{recipe...}", summary: "A recipe with all flows it calls", reply: flow.Bundle{}, do: (*Server).getRecipe},
		{method: http.MethodGet, path: v1 + "/workers", summary: "The workers", reply: workerList{}, do: (*Server).listWorkers},
		{method: http.MethodGet, path: v1 + "/queues", summary: "The queues, lane by lane", reply: queueList{}, do: (*Server).listQueues},
		{method: http.MethodGet, path: v1 + "/dead", summary: "The dead letters, the newest first", reply: deadList{}, do: (*Server).listDead, query: [][2]string{{"limit", "at most this many, up to 1000; 100"}}},
		{method: http.MethodGet, path: v1 + "/dead/{letter}", summary: "A dead letter", reply: client.DeadLetter{}, do: (*Server).getDead},
		{method: http.MethodPost, path: v1 + "/dead/{letter}/requeue", summary: "Try its run again", body: wish{}, reply: started{}, changes: true, submits: true, do: (*Server).requeue},
		{method: http.MethodDelete, path: v1 + "/dead/{letter}", summary: "Delete it", changes: true, do: (*Server).purge},
		{method: http.MethodGet, path: v1 + "/schedules", summary: "The schedules", reply: scheduleList{}, do: (*Server).listSchedules},
		{method: http.MethodPost, path: v1 + "/schedules/{schedule}/trigger", summary: "Start a run of it now", body: wish{}, reply: started{}, changes: true, do: (*Server).trigger},
		{method: http.MethodGet, path: v1 + "/system", summary: "How things are", reply: system{}, do: (*Server).system},
	}
	for _, op := range []string{"cancel", "pause", "resume", "approve", "reject", "signal"} {
		all = append(all, route{method: http.MethodPost, path: v1 + "/runs/{run}/" + op, summary: "Have the run " + op, body: wish{}, changes: true, do: wanted(op)})
	}
	for _, what := range []string{"queue", "schedule"} {
		for _, op := range []string{"pause", "resume"} {
			all = append(all, route{method: http.MethodPost, path: v1 + "/" + what + "s/{" + what + "}/" + op, summary: "Have the " + what + " " + op, body: wish{}, changes: true, do: wanted(op)})
		}
	}
	return all
}
