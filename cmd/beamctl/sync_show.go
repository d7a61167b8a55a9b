package main

import (
	"fmt"
	"strings"

	"github.com/beamctl/beamctl/launcher"
)

// showSync shows what a sync has done, after a build or without.
func (a *app) showSync(rep *launcher.SyncReport, built bool) error {
	if a.output == "json" {
		return a.json(rep)
	}
	if len(rep.Nodes) == 0 {
		return nil
	}
	on := a.color(a.outTTY)
	rows := make([][]string, 0, len(rep.Nodes))
	for _, n := range rep.Nodes {
		state := string(n.State)
		switch n.State {
		case launcher.Synced:
			state = paint(on, green, state)
		case launcher.Mixed, launcher.Lost, launcher.Unreachable:
			state = paint(on, red, state)
		case launcher.AsBuilt, launcher.Outdated, launcher.Down, launcher.Unknown, launcher.NoCode:
			state = paint(on, yellow, state)
		}
		rows = append(rows, []string{n.Node, state, orDash(launcher.SomeNames(n.Pushed)), orDash(launcher.SomeNames(n.Deleted)), orDash(refusedNames(n)), orDash(fmt.Sprint(n.Same)), orDash(size(n.Bytes))})
	}
	header := []string{"NODE", "STATE", "PUSHED", "DELETED", "REFUSED", "SAME", "SENT"}
	if err := table(a.out, a.outWidth(), header, rows, "SENT", "SAME"); err != nil {
		return err
	}
	if notes := rep.Notes(); len(notes) > 0 {
		if _, err := fmt.Fprintf(a.out, "\n%s", wrap(strings.Join(notes, "\n")+"\n", a.outWidth())); err != nil {
			return err
		}
	}
	if rep.Error == "" {
		a.say("%s", syncText(rep))
	}
	fix := "--compile builds first"
	if built {
		fix = launcher.LeftByBuild
	}
	for _, s := range rep.Stale {
		a.say("%s: %s; %s", paint(a.color(a.errTTY), yellow, "but"), s, fix)
	}
	return nil
}

func refusedNames(n *launcher.NodeSync) string {
	var out []string
	for _, r := range n.Refused {
		out = append(out, string(r.Module))
	}
	return launcher.SomeNames(out)
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

// syncText says in a line what a sync has done.
func syncText(rep *launcher.SyncReport) string {
	states := make(map[launcher.SyncState]int)
	to, sent := 0, 0
	for _, n := range rep.Nodes {
		states[n.State]++
		if len(n.Pushed)+len(n.Deleted) > 0 {
			to++
			sent += n.Bytes
		}
	}
	rest := ""
	if n := states[launcher.Outdated]; n > 0 && !rep.DryRun {
		rest += fmt.Sprintf(", %d without what was left out", n)
	}
	if n := states[launcher.Down]; n > 0 {
		rest += fmt.Sprintf(" (%d not running)", n)
	}
	pushed, deleted := rep.Pushed(), rep.Deleted()
	if len(pushed)+len(deleted) == 0 {
		if n := states[launcher.AsBuilt]; n > 0 {
			return fmt.Sprintf("what is built runs on %s%s, found in %.0f ms", count(n, "node", "nodes"), rest, rep.Millis)
		}
		return fmt.Sprintf("%s in sync%s, found in %.0f ms", count(states[launcher.Synced], "node", "nodes"), rest, rep.Millis)
	}
	push, remove, where := "pushed", "deleted", "on"
	if rep.DryRun {
		push, remove = "would push", "would delete"
	}
	var did []string
	if len(pushed) > 0 {
		where = "to"
		did = append(did, fmt.Sprintf("%s %s (%s)", push, count(len(pushed), "module", "modules"), launcher.SomeNames(pushed)))
	}
	if len(deleted) > 0 {
		where = "on"
		did = append(did, fmt.Sprintf("%s %s (%s)", remove, count(len(deleted), "module", "modules"), launcher.SomeNames(deleted)))
	}
	text := fmt.Sprintf("%s %s %s%s", strings.Join(did, ", "), where, count(to, "node", "nodes"), rest)
	if rep.DryRun {
		return text
	}
	text += fmt.Sprintf(" in %.0f ms", rep.Millis)
	if sent > 0 {
		text += fmt.Sprintf(": %s sent, staged in %.0f, loaded in %.0f", size(sent), 1000*rep.Took.Stage, 1000*rep.Took.Commit)
	}
	return text
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
		if text = e.Node + " is there, and in sync"; len(e.Report.Changes()) > 0 {
			text = e.Node + " is there: " + syncText(e.Report)
		}
	case launcher.SyncLeft:
		text = e.Node + " is gone"
	case launcher.SyncFailed:
		text = paint(a.color(a.outTTY), red, launcher.Brief(e.Err))
	}
	fmt.Fprintln(a.out, wrap(e.Time.Local().Format("15:04:05")+"  "+text, a.outWidth()))
}
