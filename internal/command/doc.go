// Package command is the slipway command: one file for each verb, its flags, its output and its exit code. It decides
// nothing about building; package ship does.
//
// What the command writes where:
//
//   - stdout is the result for machines: with --json one JSON document, else nothing.
//   - stderr is for people: progress, failure cards, a last line that repeats the exit code.
//   - Colour and live progress only on a terminal; NO_COLOR, CI and TERM=dumb are respected.
//
// Exit codes: 0 ok, 1 a stage failed, 2 usage or configuration, 3 no engine or the machine lacks something, 130 interrupted.
package command
