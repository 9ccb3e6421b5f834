/** The messages that platforms of this interface send, as they are written down for them: the text is never touched. */

/** Method -> its message in YAML; comments and alternatives (`yes/no`) as they stand there. */
export const seedYaml = {
  build_and_run_instance: `
    name: instance-1

    # 实例镜像，镜像名字或者镜像在存储的uri
    #   DPU_BOTH: soc能和后端存储通信，且能支持存储能力卸载到硬件，如rdma
    #   DPU_BOTH: soc能为host创建磁盘设备，后端为云存储
    image: centos_image_uuid

    # 实例启动过程cloud-init通过metadata server获取userdata
    userdata: {admin_pass: xxx}

    flavor: 4c8g

    # DPU_BOTH: 支持动态创建 PF/VF
    networks:
        - subnet: net1
          mac: aa:bb:cc:dd:ee:ff
    volumes:
        - volume_id: uuid
          # 通常用来指定系统盘
          # DPU_BM(low priority): bmc支持配置从特定磁盘(bdf)启动
          bootable: yes/no
`,
  create_snapshot: `
    instance: uuid
    volume: uuid
`,
  reboot_instance: `
    instance: uuid
    # DPU_BM: bmc支持对host软/硬重启
    type: hard/soft
`,
  resize_vm: `
    instance: uuid
    new_flavor: flavor_id
`,
  reset_instance_admin_password: `
    instance: uuid
    # DPU_BM(medium priority): 裸金属重置root密码(通过修改云盘数据？)
    new_password: pwd(encrypted?)
`,
  set_interface_qos: `
    interface: port_uuid
    pps: xxx
    bps: xxx
`,
} as const;

/** Methods that are written as `method/uuid`: a bare uuid is all that they are given. */
export const seedBareUuid = ['pause_vm', 'stop_instance', 'start_instance', 'get_instance_console'] as const;

/** The node's report, in YAML. */
export const seedNodeStatus = `
    # soc的hostname，用于调度器区分不同节点。和非DPU场景下计算节点的hostname有同样意义
    hostname: compute-node-xx

    # 该节点是否准备好被调度，用于创建VM/BM
    ready: yes

    # 节点类型，BM或者VM
    node_type: BM

    # 不通的DPU功能可能有差异，云平台可能需要根据不同网卡走不同处理逻辑
    #   - DPU_BOTH: soc获取DPU型号
    DPU_model: BF2

    # 该节点总的cpu资源量。
    #   - DPU_BM: soc获取host的cpu/mem等硬件信息。如通过bmc
    #   - DPU_VM: soc获取host上分配给虚机的硬件资源信息。如通过host上的agent
    total_cpu: 64

    # 该节点上cpu资源的使用量
    #   - DPU_VM: soc获取host上虚机硬件资源使用情况。如通过host上的agent
    used_cpu: 10

    total_mem: 512
    used_mem: 100
    instances:
        - uuid: instance-uuid
          status: up/down/error
          todo: other_info?
`;
