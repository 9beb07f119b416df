from protos.gauntlet.v1 import figure_pb2 as _figure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_MINIMIZE: _ClassVar[Direction]
    DIRECTION_MAXIMIZE: _ClassVar[Direction]

class CampaignState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAMPAIGN_STATE_UNSPECIFIED: _ClassVar[CampaignState]
    CAMPAIGN_STATE_RUNNING: _ClassVar[CampaignState]
    CAMPAIGN_STATE_PAUSED: _ClassVar[CampaignState]
    CAMPAIGN_STATE_FINISHED: _ClassVar[CampaignState]
    CAMPAIGN_STATE_FAILED: _ClassVar[CampaignState]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_MINIMIZE: Direction
DIRECTION_MAXIMIZE: Direction
CAMPAIGN_STATE_UNSPECIFIED: CampaignState
CAMPAIGN_STATE_RUNNING: CampaignState
CAMPAIGN_STATE_PAUSED: CampaignState
CAMPAIGN_STATE_FINISHED: CampaignState
CAMPAIGN_STATE_FAILED: CampaignState

class Objective(_message.Message):
    __slots__ = ("name", "direction", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    direction: Direction
    unit: str
    def __init__(self, name: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., unit: _Optional[str] = ...) -> None: ...

class Campaign(_message.Message):
    __slots__ = ("campaign_id", "title", "state", "objectives", "created_at", "updated_at")
    CAMPAIGN_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    campaign_id: str
    title: str
    state: CampaignState
    objectives: _containers.RepeatedCompositeFieldContainer[Objective]
    created_at: str
    updated_at: str
    def __init__(self, campaign_id: _Optional[str] = ..., title: _Optional[str] = ..., state: _Optional[_Union[CampaignState, str]] = ..., objectives: _Optional[_Iterable[_Union[Objective, _Mapping]]] = ..., created_at: _Optional[str] = ..., updated_at: _Optional[str] = ...) -> None: ...

class EvaluationRecord(_message.Message):
    __slots__ = ("architecture", "figures", "digests", "on_front")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _figure_pb2.Figure
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...
    class DigestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    ON_FRONT_FIELD_NUMBER: _ClassVar[int]
    architecture: str
    figures: _containers.MessageMap[str, _figure_pb2.Figure]
    digests: _containers.ScalarMap[str, str]
    on_front: bool
    def __init__(self, architecture: _Optional[str] = ..., figures: _Optional[_Mapping[str, _figure_pb2.Figure]] = ..., digests: _Optional[_Mapping[str, str]] = ..., on_front: bool = ...) -> None: ...

class SeriesRecord(_message.Message):
    __slots__ = ("x", "y", "x_label", "y_label")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    X_LABEL_FIELD_NUMBER: _ClassVar[int]
    Y_LABEL_FIELD_NUMBER: _ClassVar[int]
    x: _containers.RepeatedScalarFieldContainer[float]
    y: _containers.RepeatedScalarFieldContainer[float]
    x_label: str
    y_label: str
    def __init__(self, x: _Optional[_Iterable[float]] = ..., y: _Optional[_Iterable[float]] = ..., x_label: _Optional[str] = ..., y_label: _Optional[str] = ...) -> None: ...

class CampaignRecord(_message.Message):
    __slots__ = ("key", "evaluation", "series", "figure")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    FIGURE_FIELD_NUMBER: _ClassVar[int]
    key: str
    evaluation: EvaluationRecord
    series: SeriesRecord
    figure: _figure_pb2.Figure
    def __init__(self, key: _Optional[str] = ..., evaluation: _Optional[_Union[EvaluationRecord, _Mapping]] = ..., series: _Optional[_Union[SeriesRecord, _Mapping]] = ..., figure: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...

class PublishCampaignRequest(_message.Message):
    __slots__ = ("campaign",)
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    campaign: Campaign
    def __init__(self, campaign: _Optional[_Union[Campaign, _Mapping]] = ...) -> None: ...

class PublishCampaignResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PublishRecordsRequest(_message.Message):
    __slots__ = ("campaign_id", "records")
    CAMPAIGN_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    campaign_id: str
    records: _containers.RepeatedCompositeFieldContainer[CampaignRecord]
    def __init__(self, campaign_id: _Optional[str] = ..., records: _Optional[_Iterable[_Union[CampaignRecord, _Mapping]]] = ...) -> None: ...

class PublishRecordsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCampaignsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCampaignsResponse(_message.Message):
    __slots__ = ("campaigns",)
    CAMPAIGNS_FIELD_NUMBER: _ClassVar[int]
    campaigns: _containers.RepeatedCompositeFieldContainer[Campaign]
    def __init__(self, campaigns: _Optional[_Iterable[_Union[Campaign, _Mapping]]] = ...) -> None: ...

class ListRecordsRequest(_message.Message):
    __slots__ = ("campaign_id", "page_size", "page_token")
    CAMPAIGN_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    campaign_id: str
    page_size: int
    page_token: str
    def __init__(self, campaign_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRecordsResponse(_message.Message):
    __slots__ = ("records", "next_page_token")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[CampaignRecord]
    next_page_token: str
    def __init__(self, records: _Optional[_Iterable[_Union[CampaignRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
