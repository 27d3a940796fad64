"""A launchpad that is quick with jobs that add many."""

from __future__ import annotations

from typing import Any

from fireworks import Firework, FWAction, LaunchPad, Workflow
from fireworks.core.firework import Launch
from fireworks.utilities.fw_serializers import recursive_dict
from pymongo import ReplaceOne
from pymongo.errors import DocumentTooLarge


class BulkLaunchPad(LaunchPad):  # type: ignore[misc]  # FireWorks has no types
    """A launchpad that writes the jobs which a job adds together.

    FireWorks serialises a job that another one adds four times, reads it back once and sends two
    requests for it. Here it is serialised once, and all are sent together; what is on the launchpad
    afterwards is the same.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        """Take what FireWorks takes."""
        super().__init__(*args, **kwargs)
        #: Launches that are being completed, by Firework, with the jobs that they add in memory.
        self._completing: dict[int, Launch] = {}

    def complete_launch(
        self, launch_id: int, action: FWAction | None = None, state: str = "COMPLETED"
    ) -> dict[str, Any]:
        """Record what a launch did, and add its jobs, as FireWorks does."""
        added = [] if action is None else [*action.detours, *action.additions]
        if not added or not all(isinstance(each, Workflow) for each in added):
            return dict(super().complete_launch(launch_id, action, state))
        launch = self.get_launch_by_id(launch_id)
        if launch.state == state:  # written before the database went away; these ids are untouched
            return dict(super().complete_launch(launch_id, launch.action, state))
        launch.state = state
        document = launch.to_db_dict()
        document["action"] = _action_document(action)
        which = {"launch_id": launch_id}
        try:
            self.launches.find_one_and_replace(which, document, upsert=True)
        except DocumentTooLarge:  # FireWorks keeps it elsewhere
            return dict(super().complete_launch(launch_id, action, state))
        launch.action = action
        fireworks = list(self.fireworks.find({"launches": launch_id}, {"fw_id": 1, "launches": 1}))
        for number, firework in enumerate(fireworks):
            # The jobs in memory get their ids once; a duplicate's are read back.
            if number == 0 and firework["launches"] == [launch_id]:
                self._completing = {firework["fw_id"]: launch}
            try:
                self._refresh_wf(firework["fw_id"])
            finally:
                self._completing = {}
        return dict(document)

    def get_wf_by_fw_id_lzyfw(self, fw_id: int) -> Workflow:
        """Return a workflow; jobs that a launch is just adding are not read back."""
        workflow = super().get_wf_by_fw_id_lzyfw(fw_id)
        if (launch := self._completing.pop(fw_id, None)) is not None:
            workflow.id_fw[fw_id].launches = [launch]
        return workflow

    def _upsert_fws(
        self,
        fws: list[Firework],
        reassign_all: bool = False,  # noqa: FBT001  # as FireWorks calls it
    ) -> dict[int, int]:
        """Write Fireworks, in one request; return the new ids of those that had none."""
        if reassign_all:  # FireWorks does so itself
            return dict(super()._upsert_fws(fws, reassign_all=True))
        ordered = sorted(fws, key=lambda fw: fw.fw_id)
        new = [fw for fw in ordered if fw.fw_id < 0]
        first = self.get_new_fw_id(quantity=len(new)) if new else 0
        old_new = {fw.fw_id: first + i for i, fw in enumerate(new)}
        for fw in new:
            fw.fw_id = old_new[fw.fw_id]
        if ordered:
            self.fireworks.bulk_write(
                [ReplaceOne({"fw_id": fw.fw_id}, _document(fw), upsert=True) for fw in ordered]
            )
        return old_new


class _SerialisedTask(dict[str, Any]):
    """A task that needs not be serialised again."""

    def to_dict(self) -> dict[str, Any]:
        """Return what the database holds of it."""
        return dict(self)


def _action_document(action: FWAction) -> dict[str, Any]:
    """Return what the database holds of an action; its jobs' tasks are serialised afterwards."""
    bare = FWAction(
        action.stored_data,
        action.exit,
        action.update_spec,
        action.mod_spec,
        append_wfs=action.append_wfs,
        defuse_children=action.defuse_children,
        defuse_workflow=action.defuse_workflow,
        propagate=action.propagate,
    )
    return dict(bare.to_dict()) | {
        role: [_workflow_document(workflow) for workflow in workflows]
        for role, workflows in (("detours", action.detours), ("additions", action.additions))
    }


def _workflow_document(workflow: Workflow) -> dict[str, Any]:
    for fw in workflow:
        fw.tasks = [_SerialisedTask(task.to_dict()) for task in fw.tasks]
    document = dict(workflow.to_dict())
    fireworks = document.pop("fws")
    return {**recursive_dict(document), "fws": fireworks}


def _document(firework: Firework) -> dict[str, Any]:
    """Return what the database holds of a Firework.

    Its own `to_db_dict` serialises its launches, with all jobs that they added, and drops them.
    """
    whole = firework if isinstance(firework, Firework) else firework.full_fw
    bare = Firework(
        whole.tasks,
        whole.spec,
        whole.name,
        created_on=whole.created_on,
        fw_id=whole.fw_id,
        updated_on=whole.updated_on,
    )
    return dict(bare.to_dict()) | {
        "launches": [launch.launch_id for launch in whole.launches],
        "archived_launches": [launch.launch_id for launch in whole.archived_launches],
        "state": whole.state,
    }
