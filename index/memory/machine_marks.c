/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each mark is called, which technique of MITRE ATT&CK for Enterprise
 * (v19, as in docs/RULES.md) it speaks of, how bad it is (severity, 0 to 100,
 * on the scale of index/rules.conf: 35 a setting, 75 a system's program, 95
 * somebody is in), and how odd it is at least where no other member has it.
 */
#include "index/memory/machine_judge_internal.h"

static const struct herd_mark_info marks[] = {
	/* name, technique, bit, severity, floor, own */
	{ "executable anonymous memory", "T1055", HERD_MARK_ANON_EXEC, 65, 45,
	  true },
	{ "writable and executable", "T1055", HERD_MARK_WX, 75, 60, true },
	{ "deleted program", "T1070.004", HERD_MARK_DELETED_EXE, 75, 55, true },
	{ "program on no disk", "T1620", HERD_MARK_MEMFD_EXE, 90, 80, true },
	{ "loader's variables", "T1574.006", HERD_MARK_LD_ENV, 80, 60, true },
	{ "name unlike its program", "T1036.005", HERD_MARK_COMM, 40, 30,
	  true },
	{ "named like a kernel thread", "T1036.004", HERD_MARK_FAKE_KTHREAD, 90,
	  85, true },
	{ "hidden", "T1014", HERD_MARK_HIDDEN, 95, 90, true },
	{ "patched text", "T1055", HERD_MARK_TEXT, 90, 85, true },
	{ "input is a network socket", "T1059.004", HERD_MARK_STDIO_SOCKET, 95,
	  85, true },
	{ "code on no disk", "T1574.006", HERD_MARK_DELETED_LIB, 75, 50, true },
	{ "traced", "T1055.008", HERD_MARK_PTRACED, 50, 40, true },
	{ "sees packets", "T1040", HERD_MARK_ODD_FAMILY, 60, 40, true },
	{ "unlike any module", "T1014", HERD_MARK_ODD_MODULE, 95, 85, true },
	{ "new process", "T1543", HERD_MARK_NEW_PROCESS, 45, 0, false },
	{ "another program", "T1036.005", HERD_MARK_EXE, 75, 0, false },
	{ "other arguments", NULL, HERD_MARK_ARGV, 40, 0, false },
	{ "other rights", "T1548", HERD_MARK_CREDS, 50, 0, false },
	{ "another parent", NULL, HERD_MARK_PARENT, 40, 0, false },
	{ "other namespaces", "T1611", HERD_MARK_NAMESPACE, 45, 0, false },
	{ "other libraries", "T1574.006", HERD_MARK_LIBRARIES, 75, 0, false },
	{ "listens", "T1571", HERD_MARK_LISTEN, 70, 0, false },
	{ "connection", "T1071", HERD_MARK_CONNECTION, 60, 0, false },
	{ "environment", "T1574", HERD_MARK_ENVIRON, 50, 0, false },
	{ "new module", "T1547.006", HERD_MARK_MODULE, 45, 0, false },
	{ "hook", "T1014", HERD_MARK_HOOK, 90, 0, false },
	{ "missing", "T1685", HERD_MARK_MISSING, 35, 0, false },
	{ "deviates on the disk", "T1554", HERD_MARK_DISK, 70, 60, false },
};

const struct herd_mark_info *herd_mark_info(uint32_t bit)
{
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (marks[i].bit == bit)
			return &marks[i];
	return NULL;
}

const char *herd_mark_name(uint32_t bit)
{
	const struct herd_mark_info *i = herd_mark_info(bit);

	return i ? i->name : NULL;
}
