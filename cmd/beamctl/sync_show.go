package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher"
)

// showSync shows what a sync has done.
func (a *app) showSync(rep *launcher.SyncReport) error {
	if a.output == "json" {
		return a.json(rep)
	}
	if len(rep.Nodes) == 0 {
		return nil
	}
	on := a.color(a.outTTY)
	rows := make([][]string, 0, len(rep.Nodes))
	var notes []string
	for _, n := range rep.Nodes {
		state := string(n.State)
		switch n.State {
		case launcher.Synced:
			state = paint(on, green, state)
		case launcher.Mixed, launcher.Unknown:
			state = paint(on, red, state)
		case launcher.Outdate, launcher.Down, launcher.NoCode:
			state = paint(on, yellow, state)
		}
		rows = append(rows, []string{n.Node, state, orDash(names(n.Pushed)), orDash(names(n.Deleted)), orDash(refusedNames(n)), orDash(fmt.Sprint(n.Same)), orDash(size(n.Bytes))})
		notes = append(notes, syncNotes(n)...)
	}
	if err := table(a.out, []string{"NODE", "STATE", "PUSHED", "DELETED", "REFUSED", "SAME", "SENT"}, rows); err != nil {
		return err
	}
	if len(notes) > 0 {
		if _, err := fmt.Fprintf(a.out, "\n%s\n", strings.Join(notes, "\n")); err != nil {
			return err
		}
	}
	if rep.Error == "" {
		a.say("%s", syncText(rep))
	}
	for _, s := range rep.Stale {
		a.say("%s: %s; --compile builds first", paint(a.color(a.errTTY), yellow, "but"), s)
	}
	return nil
}

func refusedNames(n *launcher.NodeSync) string {
	var out []string
	for _, r := range n.Refused {
		out = append(out, string(r.Module))
	}
	return names(out)
}

// maxNames is how many modules one line names.
const maxNames = 4

// names shows the first of some names.
func names(all []string) string {
	if len(all) <= maxNames {
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%s +%d", strings.Join(all[:maxNames], " "), len(all)-maxNames)
}

// size shows a number of bytes.
func size(n int) string {
	switch {
	case n == 0:
		return ""
	case n < 10<<10:
		return fmt.Sprintf("%dB", n)
	case n < 10<<20:
		return fmt.Sprintf("%dK", n>>10)
	}
	return fmt.Sprintf("%dM", n>>20)
}

// syncNotes are what there is to say of a node that is no column.
func syncNotes(n *launcher.NodeSync) []string {
	var out []string
	note := func(format string, args ...any) { out = append(out, n.Node+": "+fmt.Sprintf(format, args...)) }
	for _, r := range n.Refused {
		note("%s refused: %s", r.Module, r.Detail)
	}
	for _, p := range n.Killed {
		note("%s %s killed: it ran old code of %s, in %s", p.Pid, p.Name, p.Module, p.Function)
	}
	for _, text := range n.Unchanged {
		note("did not convert its state: %s", text)
	}
	for _, text := range n.Unwritten {
		note("not written: %s", text)
	}
	for _, c := range n.Apps {
		note("%s (takes a restart)", c)
	}
	if n.Problem != "" {
		note("%s", n.Problem)
	}
	return out
}

// syncText says in a line what a sync has done.
func syncText(rep *launcher.SyncReport) string {
	up, down, to, sent := 0, 0, 0, 0
	for _, n := range rep.Nodes {
		switch n.State {
		case launcher.Down:
			down++
		case launcher.NoCode:
		default:
			up++
		}
		if len(n.Pushed)+len(n.Deleted) > 0 {
			to++
			sent += n.Bytes
		}
	}
	absent := ""
	if down > 0 {
		absent = fmt.Sprintf(" (%d not running)", down)
	}
	changed := rep.Changes()
	switch {
	case len(changed) == 0:
		return fmt.Sprintf("%s in sync%s, found in %.0f ms", plural(up, "node"), absent, rep.Millis)
	case rep.DryRun:
		return fmt.Sprintf("would push %s (%s) to %s%s", plural(len(changed), "module"), names(changed), plural(to, "node"), absent)
	}
	return fmt.Sprintf("pushed %s (%s) to %s%s in %.0f ms: %s sent, staged in %.0f, loaded in %.0f", plural(len(changed), "module"), names(changed),
		plural(to, "node"), absent, rep.Millis, orDash(size(sent)), 1000*rep.Took.Stage, 1000*rep.Took.Commit)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// showSyncEvent shows in a line what has happened.
func (a *app) showSyncEvent(e launcher.SyncEvent) {
	if a.output == "json" {
		_ = a.jsonLine(e)
		return
	}
	text := e.Error
	switch e.What {
	case launcher.SyncStart, launcher.SyncChanged:
		text = syncText(e.Report)
	case launcher.SyncJoined:
		text = e.Node + " is there: " + syncText(e.Report)
	case launcher.SyncLeft:
		text = e.Node + " is gone"
	case launcher.SyncFailed:
		if f, ok := errors.AsType[*checks.Finding](e.Err); ok {
			saw, _, _ := strings.Cut(f.Saw, "\n")
			text = strings.TrimSuffix(f.What+": "+saw, ": ")
		}
		text = paint(a.color(a.outTTY), red, text)
	}
	fmt.Fprintf(a.out, "%s  %s\n", e.Time.Local().Format("15:04:05"), text)
}
